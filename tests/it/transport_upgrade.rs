//! Facts about the WebSocket upgrade: who gets one, in what time, at what cost.
#![cfg(feature = "websocket")]

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::time::{Instant, interval};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use waxwire::limits::{HANDSHAKE_TIME, RECORD_BYTES, UPGRADE_BYTES};
use waxwire::transport::websocket::{AcceptOptions, WebSocket, accept, client, dial};
use waxwire::transport::{Transport, TransportError};

use crate::transport_fixtures::{Script, Then, close, data, receive, send};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What a server answers to a key.
type Answer<'a> = &'a dyn Fn(&str) -> String;

#[tokio::test]
async fn a_websocket_over_tcp_carries_records_and_names_the_peer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let backend = async {
        let (stream, agent) = listener.accept().await.unwrap();
        (accept(stream, &AcceptOptions::new(), HANDSHAKE_TIME).await.unwrap(), agent)
    };
    let url = format!("ws://{address}/link");
    let (agent, (mut backend, agent_address)) =
        tokio::join!(dial(&url, RECORD_BYTES, HANDSHAKE_TIME), backend);
    let mut agent = agent.unwrap();
    assert_eq!(agent.peer_address(), Some(address));
    assert_eq!(backend.peer_address(), Some(agent_address));
    send(&mut agent, data(16_000, 1)).await.unwrap();
    assert_eq!(receive(&mut backend).await, Ok(Some(data(16_000, 1))));
    send(&mut backend, data(16, 2)).await.unwrap();
    assert_eq!(receive(&mut agent).await, Ok(Some(data(16, 2))));
    close(&mut agent).await.unwrap();
    assert_eq!(receive(&mut backend).await, Ok(None));
    close(&mut backend).await.unwrap();
    assert_eq!(receive(&mut agent).await, Ok(None));
}

#[tokio::test]
async fn the_subprotocol_is_offered_and_chosen_but_not_required() {
    let (near, far) = duplex(4_096);
    let near =
        tokio::spawn(async move { client(near, "ws://b/l", RECORD_BYTES, HANDSHAKE_TIME).await });
    let (request, mut far) = request_of(far).await;
    assert!(request.starts_with("GET /l HTTP/1.1\r\nHost: b\r\n"), "{request}");
    assert!(request.contains("\r\nSec-WebSocket-Protocol: waxwire.1\r\n"), "{request}");
    assert!(!request.to_lowercase().contains("sec-websocket-extensions"), "{request}");
    let key = key_in(&request);
    far.write_all(switching(key, "Sec-WebSocket-Protocol: waxwire.1\r\n").as_bytes())
        .await
        .unwrap();
    assert!(near.await.unwrap().is_ok());

    let (answer, accepted) = ask("Sec-WebSocket-Protocol: other, waxwire.1\r\n").await;
    assert!(
        answer.to_lowercase().contains("\r\nsec-websocket-protocol: waxwire.1\r\n"),
        "{answer}"
    );
    assert!(accepted.is_ok());
    assert!(answered(|key| switching(key, "")).await.is_ok());
    let (answer, accepted) = ask("Sec-WebSocket-Protocol: waxwire.10\r\n").await;
    assert!(!answer.to_lowercase().contains("sec-websocket-protocol"), "{answer}");
    assert!(accepted.is_ok());
}

/// PROTOCOL attack 49. proto-spec: no compression is accepted.
#[tokio::test]
async fn a_compression_offer_is_refused() {
    for offer in ["permessage-deflate", "permessage-deflate; client_max_window_bits", "x"] {
        let (answer, refused) = ask(&format!("Sec-WebSocket-Extensions: {offer}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert_eq!(refused.err(), Some(TransportError::CompressionOffered));
    }
}

/// No browser lets a page leave the offer out, so for an allowed one it is declined instead.
#[tokio::test]
async fn an_allowed_page_offers_compression_and_is_answered_without_it() {
    let headers =
        "Origin: https://console.example\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
    let options = AcceptOptions::new().with_allowed_origin("https://console.example");
    let (answer, accepted) = ask_with(&request(headers), options).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(!answer.to_lowercase().contains("sec-websocket-extensions"), "{answer}");
    assert!(accepted.is_ok());
}

/// PROTOCOL attack 49. proto-spec: none is offered, and none that was not is taken.
#[tokio::test]
async fn a_server_that_switches_compression_on_is_refused() {
    let headers =
        "Sec-WebSocket-Protocol: waxwire.1\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
    let refused = answered(|key| switching(key, headers)).await;
    assert_eq!(refused.err(), Some(TransportError::CompressionImposed));
}

/// TESTING WS-3: a page on any other port or host must not reach a backend on this machine.
#[tokio::test]
async fn a_browser_origin_is_refused_unless_it_is_allowed() {
    let refused = [
        "https://console.example.evil",
        "https://console.exampl",
        "http://console.example",
        "https://console.example:8443",
        "https://CONSOLE.example",
        "https://evil@console.example",
        "null",
        "",
    ];
    for origin in refused {
        let options = AcceptOptions::new().with_allowed_origin("https://console.example");
        let (answer, refused) = ask_with(&request(&format!("Origin: {origin}\r\n")), options).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{origin}: {answer}");
        assert_eq!(refused.err(), Some(TransportError::OriginRefused), "{origin}");
    }
    let allowed = "Origin: https://console.example\r\n";
    let (_, refused) = ask(allowed).await;
    assert_eq!(refused.err(), Some(TransportError::OriginRefused));
    let options = AcceptOptions::new().with_allowed_origin("https://console.example");
    let (_, accepted) = ask_with(&request(allowed), options.clone()).await;
    assert!(accepted.is_ok());
    let two = request(&format!("{allowed}Origin: https://evil.example\r\n"));
    let (_, refused) = ask_with(&two, options).await;
    assert_eq!(refused.err(), Some(TransportError::OriginRefused));
}

#[tokio::test]
async fn what_is_no_upgrade_is_refused() {
    let good = request("");
    for bad in [
        good.replace("GET ", "POST "),
        good.replace("HTTP/1.1", "HTTP/1.0"),
        good.replace("Upgrade: websocket\r\n", ""),
        good.replace("Connection: Upgrade\r\n", ""),
        good.replace("Version: 13", "Version: 8"),
        good.replace(KEY, "short"),
        good.replace(&format!("Sec-WebSocket-Key: {KEY}\r\n"), ""),
        good.replace("GET ", "\u{16}\u{3}\u{1}"),
        good.replace("Host: backend\r\n", "Host: backend\n\n"),
        good.replace("Host: backend", "Ho st: backend"),
        format!("{good}junk"),
        format!("{}\n\nGET /second HTTP/1.1\r\n\r\n", good.trim_end()),
        format!("{good}{good}"),
    ] {
        let (answer, refused) = ask_with(&bad, AcceptOptions::new()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{bad}: {answer}");
        assert_eq!(refused.err(), Some(TransportError::BadUpgrade), "{bad}");
    }
    let many = request(&"A: b\r\n".repeat(200));
    assert!(ask_with(&many, AcceptOptions::new()).await.1.is_err());
}

#[tokio::test]
async fn a_client_that_hangs_up_is_an_io_error() {
    for cut in [0, 1, 20, request("").len() - 1] {
        let half = Bytes::from(request("")).slice(..cut);
        let script = Script::new([half].into_iter().filter(|half| !half.is_empty()), Then::End);
        let refused = accept(script, &AcceptOptions::new(), HANDSHAKE_TIME).await.err();
        assert_eq!(refused, Some(TransportError::Io(std::io::ErrorKind::UnexpectedEof)));
    }
}

/// TESTING DOS-1 and RUSTSEC-2023-0065: what a long head costs grows with its bytes, and ends at
/// 8 KiB.
#[tokio::test]
async fn headers_of_64_kib_in_single_bytes_are_refused_after_8_kib() {
    let head = Bytes::from(request(&format!("X: {}\r\n", "a".repeat(64 * 1024))));
    let script = Script::new((0..head.len()).map(|at| head.slice(at..=at)), Then::Silence);
    let refused = accept(script.clone(), &AcceptOptions::new(), HANDSHAKE_TIME).await.err();
    assert_eq!(refused, Some(TransportError::UpgradeTooLarge));
    assert_eq!(script.seen().read, UPGRADE_BYTES);
    assert!(script.seen().written.starts_with(b"HTTP/1.1 431 "));
}

#[tokio::test]
async fn an_upgrade_in_single_bytes_is_granted() {
    let head = Bytes::from(request("X-Forwarded-For: 192.0.2.1\r\n"));
    let script = Script::new((0..head.len()).map(|at| head.slice(at..=at)), Then::Silence);
    assert!(accept(script.clone(), &AcceptOptions::new(), HANDSHAKE_TIME).await.is_ok());
    assert!(script.seen().written.starts_with(b"HTTP/1.1 101 "));
}

/// TESTING DOS-2.
#[tokio::test(start_paused = true)]
async fn the_upgrade_deadline_is_absolute_under_a_drip() {
    let (mut drip, stream) = duplex(64);
    let dripping = tokio::spawn(async move {
        let mut tick = interval(Duration::from_millis(100));
        for byte in request(&format!("X: {}\r\n", "a".repeat(4_000))).bytes() {
            tick.tick().await;
            drip.write_all(&[byte]).await.unwrap();
        }
    });
    let start = Instant::now();
    let refused = accept(stream, &AcceptOptions::new(), HANDSHAKE_TIME).await.err();
    assert_eq!(refused, Some(TransportError::UpgradeTimedOut));
    assert_eq!(start.elapsed().as_secs(), HANDSHAKE_TIME.as_secs());
    assert!(dripping.await.is_err(), "the connection outlived its deadline");
}

/// TESTING DOS-2: a client that does not read the answer holds no connection either.
#[tokio::test(start_paused = true)]
async fn the_upgrade_deadline_counts_the_answer() {
    let (mut lazy, stream) = duplex(4);
    let asking = tokio::spawn(async move {
        lazy.write_all(request("").as_bytes()).await.unwrap();
        lazy
    });
    let refused = accept(stream, &AcceptOptions::new(), HANDSHAKE_TIME).await.err();
    assert_eq!(refused, Some(TransportError::UpgradeTimedOut));
    drop(asking.await.unwrap());
}

/// TESTING DOS-2, on the virtual clock: 1 000 silent connections keep none from getting in.
#[tokio::test(start_paused = true)]
async fn silent_connections_do_not_delay_an_honest_one() {
    let start = Instant::now();
    let silent: Vec<_> = (0..1_000)
        .map(|_| {
            let (near, far) = duplex(64);
            let wait =
                async move { accept(far, &AcceptOptions::new(), HANDSHAKE_TIME).await.err() };
            (near, tokio::spawn(wait))
        })
        .collect();
    let (_, honest) = ask("").await;
    assert!(honest.is_ok());
    assert!(start.elapsed() < Duration::from_secs(1));
    for (_near, refused) in silent {
        assert_eq!(refused.await.unwrap(), Some(TransportError::UpgradeTimedOut));
    }
    assert_eq!(start.elapsed().as_secs(), HANDSHAKE_TIME.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_given_up() {
    let (near, _far) = duplex(4_096);
    let start = Instant::now();
    let refused = client(near, "ws://backend/", RECORD_BYTES, HANDSHAKE_TIME).await.err();
    assert_eq!(refused, Some(TransportError::UpgradeTimedOut));
    assert_eq!(start.elapsed().as_secs(), HANDSHAKE_TIME.as_secs());
}

#[tokio::test]
async fn a_refusal_of_the_server_is_told_by_its_status() {
    for (status, code) in [("403 Forbidden", 403), ("301 Moved\r\nLocation: ws://evil/", 301)] {
        let refused = answered(|_| format!("HTTP/1.1 {status}\r\n\r\n")).await;
        assert_eq!(refused.err(), Some(TransportError::UpgradeRefused(code)));
    }
}

#[tokio::test]
async fn an_answer_that_breaks_a_rule_is_refused() {
    let ours = "Sec-WebSocket-Protocol: waxwire.1\r\n";
    let endless = format!("X: {}\r\n", "a".repeat(70_000));
    let other = "Sec-WebSocket-Protocol: waxwire.2\r\n";
    let cases: [(Answer<'_>, TransportError); 9] = [
        (&|key| switching(key, other), TransportError::WrongSubprotocol),
        (&|_| switching(KEY, ours), TransportError::BadUpgrade),
        (
            &|key| switching(key, ours).replace("Upgrade: websocket\r\n", ""),
            TransportError::BadUpgrade,
        ),
        (
            &|key| switching(key, ours).replace("Connection: U", "X-Connection: U"),
            TransportError::BadUpgrade,
        ),
        (
            &|key| switching(key, ours).replace("websocket\r\n", "websocket, h2c\r\n"),
            TransportError::BadUpgrade,
        ),
        (
            &|key| switching(key, &format!("Sec-WebSocket-Accept: {KEY}\r\n")),
            TransportError::BadUpgrade,
        ),
        (
            &|key| switching(key, ours).trim_end().to_owned() + "\n\nX: y\r\n\r\n",
            TransportError::BadUpgrade,
        ),
        (&|_| "SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(), TransportError::BadUpgrade),
        (&|key| switching(key, &endless), TransportError::UpgradeTooLarge),
    ];
    for (at, (answer, error)) in cases.into_iter().enumerate() {
        assert_eq!(answered(answer).await.err(), Some(error), "case {at}");
    }
    let hung_up = answered(|_| String::new()).await.err();
    assert_eq!(hung_up, Some(TransportError::Io(std::io::ErrorKind::UnexpectedEof)));
}

#[tokio::test]
async fn what_a_server_says_at_once_behind_its_answer_arrives() {
    let (near, far) = duplex(4_096);
    let near =
        tokio::spawn(
            async move { client(near, "ws://backend/", RECORD_BYTES, HANDSHAKE_TIME).await },
        );
    let (request, mut far) = request_of(far).await;
    let message = [&[0x82, 40], data(16, 1).as_ref()].concat();
    let answer = [switching(key_in(&request), "").as_bytes(), message.as_slice()].concat();
    far.write_all(&answer).await.unwrap();
    assert_eq!(receive(&mut near.await.unwrap().unwrap()).await, Ok(Some(data(16, 1))));
}

#[tokio::test]
async fn a_url_is_checked_before_anything_is_dialled() {
    for bad in [
        "",
        "backend",
        "/link",
        "http://backend/",
        "ws://",
        "ws:///link",
        "ws://backend:0x50/",
        "ws://backend:99999/",
        "ws://backend:/",
        "ws://user:secret@backend/",
        "ws://user:secret@backend:80/",
        "ws://backend/#token",
        "ws://back end/",
    ] {
        assert_eq!(
            dial(bad, RECORD_BYTES, HANDSHAKE_TIME).await.err(),
            Some(TransportError::BadUrl),
            "{bad}"
        );
    }
    let encrypted = dial("wss://backend/", RECORD_BYTES, HANDSHAKE_TIME).await.err();
    assert_eq!(encrypted, Some(TransportError::TlsUnavailable));
}

#[tokio::test]
async fn an_ipv6_address_can_be_dialled() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        return;
    };
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let backend = async {
        let (stream, _) = listener.accept().await.unwrap();
        accept(stream, &AcceptOptions::new(), HANDSHAKE_TIME).await
    };
    let (agent, backend) = tokio::join!(dial(&url, RECORD_BYTES, HANDSHAKE_TIME), backend);
    assert!(agent.is_ok() && backend.is_ok());
}

fn request(headers: &str) -> String {
    format!(
        "GET /link HTTP/1.1\r\nHost: backend\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{headers}\r\n"
    )
}

fn switching(key: &str, headers: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n{headers}\r\n",
        derive_accept_key(key.as_bytes())
    )
}

/// What a server with default options answers to a good request with `headers` added.
async fn ask(headers: &str) -> (String, Result<WebSocket<Script>, TransportError>) {
    ask_with(&request(headers), AcceptOptions::new()).await
}

async fn ask_with(
    request: &str,
    options: AcceptOptions,
) -> (String, Result<WebSocket<Script>, TransportError>) {
    let script = Script::new([Bytes::copy_from_slice(request.as_bytes())], Then::Silence);
    let accepted = accept(script.clone(), &options, HANDSHAKE_TIME).await;
    (String::from_utf8(script.seen().written).unwrap(), accepted)
}

/// What a client makes of the answer to its key.
async fn answered(
    answer: impl Fn(&str) -> String,
) -> Result<WebSocket<DuplexStream>, TransportError> {
    let (near, far) = duplex(4_096);
    let near =
        tokio::spawn(
            async move { client(near, "ws://backend/", RECORD_BYTES, HANDSHAKE_TIME).await },
        );
    let (request, mut far) = request_of(far).await;
    let key = key_in(&request);
    // A client that has seen enough hangs up, so the answer may not be taken to its end.
    far.write_all(answer(key).as_bytes()).await.ok();
    drop(far);
    near.await.unwrap()
}

fn key_in(request: &str) -> &str {
    request.split("Sec-WebSocket-Key: ").nth(1).unwrap().lines().next().unwrap()
}

async fn request_of(mut far: DuplexStream) -> (String, DuplexStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(far.read_u8().await.unwrap());
    }
    (String::from_utf8(request).unwrap(), far)
}
