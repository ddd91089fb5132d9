//! A listener under attack from one place, and an honest agent from another. Real sockets; the
//! loopback network has a /24 for each.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use waxwire::header::HEADER_BYTES;
use waxwire::limits::{HALF_OPEN_PER_PREFIX, HELLO_BURST, HELLO_BYTES_MIN};
use waxwire::runtime::{Dialer, Listener, ListenerOptions};
use waxwire::transport::framed::Framed;

use crate::support::{agent_config, backend_config};

const ATTACKER: &str = "127.0.0.1:0";
const HONEST: &str = "127.0.1.1:0";
const FLOOD: usize = 500;

/// DOS-2: silent connections take the places of their own prefix and no others.
#[tokio::test]
async fn silent_connections_do_not_keep_an_honest_agent_out() {
    let mut listener = listener().await;
    let address = listener.local_address();
    let mut silent = Vec::new();
    for _ in 0..FLOOD {
        silent.push(connect(ATTACKER, address).await);
    }
    honest_agent_gets_in(&mut listener, address).await;
    // All but the first few were hung up on at once.
    let mut dropped = 0;
    for stream in &mut silent[usize::from(HALF_OPEN_PER_PREFIX)..] {
        dropped += usize::from(matches!(stream.read(&mut [0]).await, Ok(0) | Err(_)));
    }
    assert_eq!(dropped, FLOOD - usize::from(HALF_OPEN_PER_PREFIX));
}

/// DOS-4, proto-spec [H-25]: HELLOs with a wrong knock are met with silence, beyond the rate of
/// their prefix not even read, and an honest agent gets in.
#[tokio::test]
async fn junk_hellos_do_not_keep_an_honest_agent_out() {
    let mut listener = listener().await;
    let address = listener.local_address();
    let mut junk = vec![0; HEADER_BYTES + HELLO_BYTES_MIN];
    junk[0] = 0x11;
    junk[2..4].copy_from_slice(&u16::try_from(HELLO_BYTES_MIN).unwrap().to_be_bytes());
    let mut answered = 0;
    for _ in 0..usize::try_from(HELLO_BURST).unwrap() * 2 {
        let mut stream = connect(ATTACKER, address).await;
        let _ = stream.write_all(&junk).await;
        answered += usize::from(matches!(stream.read(&mut [0]).await, Ok(1)));
    }
    assert_eq!(answered, 0);
    honest_agent_gets_in(&mut listener, address).await;
}

async fn listener() -> Listener<Framed<TcpStream>> {
    Listener::tcp("127.0.0.1:0", backend_config(), &ListenerOptions::default()).await.unwrap()
}

async fn honest_agent_gets_in(listener: &mut Listener<Framed<TcpStream>>, address: SocketAddr) {
    let stream = Framed::new(connect(HONEST, address).await);
    let dialer = Dialer::new(agent_config());
    let (agent, backend) = tokio::join!(dialer.connect(stream), listener.accept());
    assert_eq!(agent.unwrap().id(), backend.unwrap().id());
}

async fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(from.parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}
