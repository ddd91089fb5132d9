//! A round trip of 64 bytes over a WebSocket on loopback TCP: sealed, against bare.
//!
//! Both ends of both connections are tasks of one current-thread runtime, so a round trip is the
//! work of both sides and the kernel's, without waking another core.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use waxwire::Suite;
use waxwire::limits::{READ_BUFFER_BYTES, WRITE_BUFFER_BYTES};
use waxwire::session::Session;

use crate::measure::{Report, median};
use crate::parties::{Parties, now};

const NAME: &str = "ws_echo_64B_p50_vs_tungstenite";
const SPAN: Duration = Duration::from_secs(10);
/// Round trips before the other one's turn.
const TURN: usize = 32;
const PAYLOAD: [u8; 64] = [7; 64];

/// Prints the comparison of round trips.
pub fn run(report: &Report) {
    if !report.wants(NAME) {
        return;
    }
    println!("echo: loopback TCP with TCP_NODELAY, both ends in one current-thread runtime,");
    println!("  read buffers of {READ_BUFFER_BYTES} bytes, both sides flush each message");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (ours, bare) = runtime.block_on(race());
    report.ratio(NAME, ours, bare);
}

async fn race() -> (f64, f64) {
    let (agent, backend) = Parties::pinned(Suite::Hybrid).handshake();
    let (client, server) = sockets().await;
    tokio::spawn(Sealed::new(backend, server).serve());
    let mut sealed = Sealed::new(agent, client);
    let (mut bare, server) = sockets().await;
    tokio::spawn(serve_bare(server));

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let start = Instant::now();
    while start.elapsed() < SPAN {
        for _ in 0..TURN {
            let begun = Instant::now();
            sealed.send(&PAYLOAD).await;
            assert_eq!(sealed.recv().await.map(|echo| echo.len()), Some(PAYLOAD.len()));
            ours.push(begun.elapsed().as_nanos() as f64);
        }
        for _ in 0..TURN {
            let begun = Instant::now();
            bare.send(Message::Binary(Bytes::copy_from_slice(&PAYLOAD))).await.unwrap();
            assert_eq!(bare.next().await.unwrap().unwrap().len(), PAYLOAD.len());
            theirs.push(begun.elapsed().as_nanos() as f64);
        }
    }
    (median(ours), median(theirs))
}

type Socket = WebSocketStream<TcpStream>;

/// Both ends of a WebSocket on loopback, past their upgrade.
async fn sockets() -> (Socket, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (client, server) = (client.unwrap(), server.unwrap().0);
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES);
    tokio::join!(
        WebSocketStream::from_raw_socket(client, Role::Client, Some(config)),
        WebSocketStream::from_raw_socket(server, Role::Server, Some(config)),
    )
}

async fn serve_bare(mut socket: Socket) {
    while let Some(Ok(message)) = socket.next().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

/// A session on a WebSocket, driven by its caller.
struct Sealed {
    session: Session,
    socket: Socket,
    out: BytesMut,
}

impl Sealed {
    fn new(session: Session, socket: Socket) -> Self {
        Self { session, socket, out: BytesMut::new() }
    }

    async fn send(&mut self, payload: &[u8]) {
        self.session.seal_datagram(now().instant, payload, &mut self.out).unwrap();
        self.socket.send(Message::Binary(self.out.split().freeze())).await.unwrap();
    }

    async fn recv(&mut self) -> Option<Bytes> {
        let message = self.socket.next().await?.ok()?;
        let mut record = BytesMut::from(message.into_data());
        let opened = self.session.open(now().instant, &mut record).ok()?;
        opened.datagrams().next().map(Bytes::copy_from_slice)
    }

    async fn serve(mut self) {
        while let Some(payload) = self.recv().await {
            self.send(&payload).await;
        }
    }
}
