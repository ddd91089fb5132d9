//! Secrets: what the compiler refuses to do with them, and what is never printed.

use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use waxwire::session::{
    ChainBook, Config, Continuity, CookieKey, Credentials, Enrolment, Event, Gate, Issuer, Knock,
    Order, Pinned, Progress, Roles, Roots, Terms,
};
use waxwire::{Identity, Role, Seed};

use crate::support::{Handshake, deliver, opened, peer_id, realm, sealed, start};
use crate::talk::at;

/// The API cannot be held wrongly: each case in tests/compile_fail does not compile. The messages
/// are rewritten with `TRYBUILD=overwrite`, after another rustc changed their words.
#[cfg(not(feature = "aws-lc"))] // the provider changes no signature; once is enough
#[test]
fn misuse_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}

/// Neither `Debug` of anything nor the log at TRACE shows eight bytes of a secret or of what was
/// said, in any usual writing.
#[test]
fn nothing_printed_shows_a_secret() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&log);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || Log(Arc::clone(&writer)))
        .finish();
    let told = tracing::subscriber::with_default(subscriber, everything);
    let logged = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    let printed = told.printed.join("\n") + &logged;
    assert!(told.printed.len() > 20 && told.secrets.len() > 10);
    for secret in &told.secrets {
        assert_eq!(shown(&printed, secret), None, "in\n{printed}");
    }
}

/// Guards the search above: each way of writing is found.
#[test]
fn a_secret_that_is_printed_is_found() {
    let secret: Vec<u8> = (100..132).collect();
    for printed in [
        format!("{secret:?}"),
        format!("{secret:02x?}"),
        format!("<{}>", hex::encode(&secret[3..15])),
        format!("<{}>", hex::encode_upper(&secret[5..])),
        base64(&secret),
        base64(&secret[1..]),
        base64(&secret[2..]),
        String::from_utf8_lossy(&secret[..28]).into_owned(),
    ] {
        assert!(shown(&printed, &secret).is_some(), "{printed}");
    }
}

/// What `everything` printed, and what of it must not be readable.
struct Told {
    printed: Vec<String>,
    secrets: Vec<Vec<u8>>,
}

impl Told {
    fn print(&mut self, value: &impl std::fmt::Debug) {
        self.printed.push(format!("{value:?} {value:#?}"));
    }
}

/// Makes one of everything, prints it, and lists the secrets.
fn everything() -> Told {
    let mut told = Told { printed: Vec::new(), secrets: Vec::new() };
    let mut bytes = |number: u8| -> [u8; 32] {
        let bytes = std::array::from_fn(|at| (at as u8).wrapping_mul(37).wrapping_add(number * 11));
        told.secrets.push(bytes.to_vec());
        bytes
    };
    let [agent, backend, root, knock, ephemeral] = [1, 2, 3, 4, 5].map(&mut bytes);
    let [nonce, cookies] = [6, 7].map(&mut bytes);
    let identity = |secret| Identity::from_seed(Seed::dangerous_reproducible(secret));
    for secret in [agent, backend, root] {
        let pem = identity(secret).to_pem();
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        told.secrets.push(body.into_bytes()[22..].to_vec());
    }
    let issuer = Issuer::new(identity(root), realm());
    let terms = Terms {
        subject: peer_id("agent"),
        roles: Roles::AGENT,
        not_before: start().unix,
        not_after: start().unix.after(std::time::Duration::from_secs(600)),
        labels: vec![("site".to_owned(), "north".to_owned())],
    };
    let own = identity(agent);
    let ephemeral = Seed::dangerous_reproducible(ephemeral);
    let credential = issuer.issue(own.public_key(), &terms, &ephemeral).unwrap();
    let request = Enrolment::request(&own, &peer_id("agent"), nonce);
    let credentials = Credentials::new(credential.clone());
    told.print(&(&credential, &credentials, &terms, &issuer, &ephemeral, &own));
    told.print(&Enrolment::verify(&request, &nonce).unwrap());
    let knock = || Knock::secret(&knock);
    told.print(&knock());
    told.print(&Gate::new(CookieKey::new(&Seed::dangerous_reproducible(cookies))));

    let pins = Pinned::one(
        peer_id("backend"),
        Role::Backend,
        identity(backend).public_key().fingerprint(),
    );
    let wants = Config::agent(realm(), own);
    told.print(&wants);
    let agent = wants.peer(pins.clone()).with_credentials(&credentials).unwrap();
    let agent = agent.with_knock(knock()).unwrap();
    let roots = Roots::new(issuer.public_key().clone());
    told.print(&(&pins, &roots));
    let backend = Config::backend(realm(), identity(backend)).peer(roots);
    let backend = backend.with_knock(knock()).unwrap();
    told.print(&(&agent, &backend));
    handshake(&mut told, Handshake::new(agent, backend));
    told
}

fn handshake(told: &mut Told, mut handshake: Handshake) {
    let mut book = ChainBook::new();
    let (initiator, hello) = handshake.hello();
    told.print(&initiator);
    let greeting = waxwire::session::Greeting::receive(
        Arc::clone(&handshake.backend),
        &hello,
        handshake.now.instant,
    );
    told.print(&greeting);
    let seed = Seed::dangerous_reproducible([12; 32]);
    let (answered, reply) = greeting.unwrap().answer(&book, &seed, handshake.now).unwrap();
    told.print(&answered);
    let progress = initiator.handle(&mut reply.to_vec(), handshake.now).unwrap();
    told.print(&progress);
    let Progress::Done(established) = progress else { panic!("no RETRY was sent") };
    let accepting = handshake.finish(answered, &established.finish).unwrap();
    told.print(&accepting);
    let step = accepting.succession();
    let generation = book.advance(step, Continuity::Prefer, handshake.now.unix).unwrap();
    told.print(&book);
    let (mut backend, _) = accepting.accept(generation, handshake.now);
    let mut agent = established.session;
    deliver(&mut backend, &mut agent, at(0));

    let payload = b"an order that nobody else may read".to_vec();
    let mut record = sealed(&mut agent, at(0), &payload);
    told.print(&backend.open(at(0), &mut record).unwrap());
    let mut out = BytesMut::new();
    let mut writer = agent.record(at(0), &mut out).unwrap();
    writer.datagram(&payload).unwrap();
    told.print(&writer);
    drop(writer);
    agent.provide_seed(at(0), &Seed::dangerous_reproducible([13; 32]));
    deliver(&mut agent, &mut backend, at(0));
    backend.provide_seed(at(0), &Seed::dangerous_reproducible([14; 32]));
    deliver(&mut backend, &mut agent, at(0));
    for end in [&mut agent, &mut backend] {
        told.print(end);
        while let Some(event) = end.poll_event() {
            assert_ne!(event, Event::SessionLost);
            told.print(&event);
        }
        let mut exported = vec![0; 64];
        end.export("test", b"", &mut exported).unwrap();
        told.secrets.push(exported);
        told.print(&(end.peer(), end.id(), end.link(), end.suite(), end.order()));
    }
    backend.attach(Order::Window);
    let mut forged = sealed(&mut agent, at(0), &payload);
    forged[40] ^= 1;
    told.print(&backend.open(at(0), &mut forged).unwrap_err());
    assert_eq!(opened(&mut backend, at(0), &sealed(&mut agent, at(0), b"on")).len(), 1);
    let chain = established.chain.to_bytes();
    told.print(&established.chain);
    told.secrets.extend([chain[41..].to_vec(), payload]);
}

/// The first eight bytes of `secret` in a row that `printed` shows, and how.
fn shown(printed: &str, secret: &[u8]) -> Option<(usize, &'static str)> {
    let lower = printed.to_lowercase();
    let compact: String =
        lower.chars().filter(|c| !c.is_whitespace() && !matches!(c, ',' | '_' | ':')).collect();
    secret.windows(8).enumerate().find_map(|(at, window)| {
        let list = |form: fn(&u8) -> String| window.iter().map(form).collect::<Vec<_>>().join(", ");
        let raw = String::from_utf8(window.to_vec()).is_ok_and(|raw| printed.contains(&raw));
        let decimal = list(u8::to_string);
        let multiline = decimal.replace(", ", "");
        let hexadecimal = hex::encode(window);
        let base64 = (0..3).any(|skip| {
            // The characters that the window alone decides, at each of three alignments.
            let text = base64(&[&vec![0; skip][..], window].concat());
            let from = [0, 2, 3][skip];
            let to = ((skip + 8) * 8) / 6;
            printed.contains(&text[from..to])
        });
        let found = [
            (raw, "raw"),
            (printed.contains(&decimal), "decimal"),
            (compact.contains(&multiline) && multiline.len() > 14, "decimal lines"),
            (compact.contains(&hexadecimal), "hex"),
            (base64, "base64"),
        ];
        found.into_iter().find(|(found, _)| *found).map(|(_, how)| (at, how))
    })
}

/// RFC 4648, standard alphabet, padded.
fn base64(bytes: &[u8]) -> String {
    use base64ct::{Base64, Encoding};
    Base64::encode_string(bytes)
}

struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
