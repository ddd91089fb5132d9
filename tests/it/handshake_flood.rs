//! Floods of HELLOs: what the gate lets through, cookies, and RETRY at both ends.

use std::net::IpAddr;
use std::time::Duration;

use waxwire::session::{
    ChainBook, CookieKey, Gate, Greeting, HandshakeError, Initiator, Progress, Proven, Source,
    Verdict,
};
use waxwire::{Now, limits};

use crate::rival::{self, Hello, backend_knock};
use crate::support::{Handshake, agent_config, backend_config, seed, start};

fn gate() -> Gate {
    Gate::new(CookieKey::new(&seed(70)))
}

fn handshake() -> Handshake {
    use waxwire::Suite::Classical;
    let agent = agent_config().with_suites(&[Classical]).unwrap();
    Handshake::new(agent, backend_config().with_suites(&[Classical]).unwrap())
}

fn greeting(handshake: &Handshake, hello: &[u8]) -> Greeting {
    Greeting::receive(handshake.backend.clone(), hello, handshake.now.instant).unwrap()
}

fn source(text: &str) -> Source {
    Source::of(text.parse::<IpAddr>().unwrap())
}

fn prefix(number: usize) -> Source {
    let [.., b, c] = number.to_be_bytes();
    source(&format!("10.{b}.{c}.9"))
}

fn later(span: Duration) -> Now {
    Now { instant: start().instant.after(span), unix: start().unix.after(span) }
}

/// A HELLO with its cookie replaced.
fn with_cookie(hello: &[u8], cookie: &[u8]) -> Vec<u8> {
    let mut hello = Hello::parse(hello);
    hello.cookie = cookie.to_vec();
    hello.padding.clear();
    hello.record(&backend_knock())
}

/// The RETRY that a gate demands, its cookie, and the HELLO that an honest initiator answers.
struct Asked {
    initiator: Initiator,
    first: Vec<u8>,
    retry: Vec<u8>,
    second: Vec<u8>,
}

fn asked(gate: &mut Gate, handshake: &mut Handshake, from: Source, now: Now) -> Asked {
    let (initiator, first) = handshake.hello();
    let greeting = greeting(handshake, &first);
    let Ok(Verdict::Retry(retry)) = gate.judge(&greeting, from, Proven::No, now) else { panic!() };
    let progress = initiator.handle(&mut retry.to_vec(), handshake.now).unwrap();
    let Progress::Again(initiator, second) = progress else { panic!("RETRY was not taken") };
    let (first, retry, second) = (first.to_vec(), retry.to_vec(), second.to_vec());
    Asked { initiator: *initiator, first, retry, second }
}

fn judged(gate: &mut Gate, hello: &[u8], from: Source, now: Now) -> Result<(), HandshakeError> {
    match gate.judge(&greeting(&handshake(), hello), from, Proven::Yes, now)? {
        Verdict::Answer(ticket) => gate.release(ticket),
        Verdict::Retry(_) => panic!("a cookie was demanded"),
    }
    Ok(())
}

/// DOS-4, PROTOCOL 8.25: ten thousand HELLOs at once from one place take sixteen places, and an
/// honest initiator elsewhere is answered as if nothing was.
#[test]
fn a_flood_from_one_prefix_costs_the_others_nothing() {
    let mut gate = gate();
    let mut handshake = handshake();
    let (initiator, hello) = handshake.hello();
    let flood = source("198.51.100.7");
    let mut tickets = Vec::new();
    for _ in 0..10_000 {
        match gate.admit(flood, start().instant) {
            Ok(ticket) => tickets.push(ticket),
            Err(error) => assert_eq!(error, HandshakeError::Busy),
        }
    }
    assert_eq!(tickets.len(), usize::from(limits::HALF_OPEN_PER_PREFIX));
    // The same /24, another host.
    assert!(gate.admit(source("198.51.100.200"), start().instant).is_err());

    let honest = source("203.0.113.5");
    let greeting = greeting(&handshake, &hello);
    let verdict = gate.judge(&greeting, honest, Proven::Yes, start());
    assert!(matches!(verdict, Ok(Verdict::Answer(_))));
    let (answered, reply) = handshake.answer(&hello, &ChainBook::new()).unwrap();
    let finish = handshake.establish(initiator, &reply).unwrap().finish;
    assert!(handshake.finish(answered, &finish).is_ok());
}

/// DOS-4, PROTOCOL 8.25: from many prefixes, half of all places go without a cookie; from there on
/// an honest initiator brings one and is answered, and the cap holds.
#[test]
fn a_flood_from_everywhere_leaves_room_for_who_brings_a_cookie() {
    let mut gate = gate();
    let mut handshake = handshake();
    let (_, hello) = handshake.hello();
    let flooded = greeting(&handshake, &hello);
    let (mut answered, mut retried) = (0, 0);
    for number in 0..10_000 {
        match gate.judge(&flooded, prefix(number), Proven::Yes, start()).unwrap() {
            Verdict::Answer(_) => answered += 1,
            Verdict::Retry(_) => retried += 1,
        }
    }
    assert_eq!((answered, retried), (limits::HALF_OPEN / 2, 10_000 - limits::HALF_OPEN / 2));
    let honest = source("2001:db8:1:2::1");
    let second = asked(&mut gate, &mut handshake, honest, start()).second;
    assert_eq!(judged(&mut gate, &second, honest, start()), Ok(()));
    for number in 0..limits::HALF_OPEN / 2 {
        assert!(gate.admit(prefix(20_000 + number), start().instant).is_ok());
    }
    assert_eq!(gate.half_open(), limits::HALF_OPEN);
    assert_eq!(judged(&mut gate, &second, honest, start()), Err(HandshakeError::Busy));
    assert_eq!(gate.half_open(), limits::HALF_OPEN);
}

/// DOS-4: whoever has a /48, or a /16, has 256 prefixes; together they take a quarter of all places.
#[test]
fn the_prefixes_of_one_network_share_a_quarter_of_all_places() {
    let own_v6 = |number: u32| format!("2001:db8:7:{:x}::1", number << 8);
    let own_v4 = |number: u32| format!("198.51.{number}.7");
    let networks: [(&dyn Fn(u32) -> String, &str); 2] =
        [(&own_v6, "2001:db8:8::1"), (&own_v4, "198.52.0.7")];
    for (own, other) in networks {
        let mut gate = gate();
        let taken = flood(&mut gate, (0..256).map(own));
        assert_eq!(taken, usize::from(limits::HALF_OPEN_PER_NETWORK));
        assert_eq!(taken, limits::HALF_OPEN / 4);
        assert!(gate.admit(source(other), start().instant).is_ok());
    }
}

/// DOS-4: whoever has a /32 has 65,536 networks; together they take half of all places, and who
/// comes from elsewhere is answered once it brings a cookie.
#[test]
fn the_networks_of_one_block_share_half_of_all_places() {
    let mut gate = gate();
    let own = (0..2_048).map(|number| format!("2001:db8:{number:x}::1"));
    let taken = flood(&mut gate, own);
    assert_eq!(taken, usize::from(limits::HALF_OPEN_PER_BLOCK));
    assert_eq!(taken, limits::HALF_OPEN / 2);
    let mut handshake = handshake();
    let honest = source("2001:db9::1");
    let second = asked(&mut gate, &mut handshake, honest, start()).second;
    assert_eq!(judged(&mut gate, &second, honest, start()), Ok(()));
}

/// A network that is refused takes nothing from the block around it, nor from its prefixes.
#[test]
fn a_refused_handshake_takes_nothing_anywhere() {
    let mut gate = gate();
    flood(&mut gate, (0..256).map(|number| format!("2001:db8:7:{:x}::1", number << 8)));
    let before = gate.half_open();
    for _ in 0..10_000 {
        assert!(gate.admit(source("2001:db8:7:ff00::1"), start().instant).is_err());
    }
    assert_eq!(gate.half_open(), before);
    let rest = flood(&mut gate, (8..64).map(|number| format!("2001:db8:{number:x}::1")));
    assert_eq!(rest, usize::from(limits::HALF_OPEN_PER_BLOCK - limits::HALF_OPEN_PER_NETWORK));
}

/// DOS-4: the rate of a network is that of as many prefixes as it may have places.
#[test]
fn the_prefixes_of_one_network_share_a_rate() {
    let mut gate = gate();
    let mut begun = |now: Now| {
        let mut count = 0;
        for number in (0..256).cycle().take(20_000) {
            let from = source(&format!("2001:db8:7:{:x}::1", number << 8));
            if let Ok(ticket) = gate.admit(from, now.instant) {
                gate.release(ticket);
                count += 1;
            }
        }
        count
    };
    let times = u32::from(limits::HALF_OPEN_PER_NETWORK / limits::HALF_OPEN_PER_PREFIX);
    assert_eq!(begun(start()), limits::HELLO_BURST * times);
    assert_eq!(begun(start()), 0);
    assert_eq!(begun(later(Duration::from_secs(1))), limits::HELLOS_PER_SECOND * times);
}

/// Takes every place that each of `from` is given; returns how many.
fn flood(gate: &mut Gate, from: impl Iterator<Item = String>) -> usize {
    let before = gate.half_open();
    for from in from {
        while gate.admit(source(&from), start().instant).is_ok() {}
    }
    gate.half_open() - before
}

/// DOS-4: the rate of one prefix, after its burst.
#[test]
fn one_prefix_has_a_burst_and_then_a_rate() {
    let mut gate = gate();
    let from = source("192.0.2.1");
    let mut admitted = |now: Now| {
        let mut count = 0;
        while let Ok(ticket) = gate.admit(from, now.instant) {
            gate.release(ticket);
            count += 1;
        }
        count
    };
    assert_eq!(admitted(start()), limits::HELLO_BURST);
    assert_eq!(admitted(start()), 0);
    assert_eq!(admitted(later(Duration::from_secs(1))), limits::HELLOS_PER_SECOND);
    assert_eq!(admitted(later(Duration::from_secs(3600))), limits::HELLO_BURST);
}

/// A place that is given back can be taken again.
#[test]
fn a_released_place_is_free_again() {
    let mut gate = gate();
    let from = source("192.0.2.1");
    let ticket = gate.admit(from, start().instant).unwrap();
    assert_eq!(gate.half_open(), 1);
    gate.release(ticket);
    assert_eq!(gate.half_open(), 0);
}

/// Sources are counted by /24 and /56, and an IPv4 address in IPv6 clothes as what it is.
#[test]
fn a_source_is_a_prefix() {
    assert_eq!(source("192.0.2.1"), source("192.0.2.255"));
    assert_ne!(source("192.0.2.1"), source("192.0.3.1"));
    assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.9"));
    assert_eq!(source("2001:db8:0:11::1"), source("2001:db8:0:1f:ffff::1"));
    assert_ne!(source("2001:db8:0:100::1"), source("2001:db8:0:200::1"));
    assert_ne!(source("0.0.0.0"), Source::LOCAL);
}

/// proto-spec [H-26]: PROTOCOL 8.27. Another source, an expired bucket, another responder's key,
/// and any change of the cookie.
#[test]
fn a_cookie_serves_one_source_for_one_to_two_minutes() {
    let mut gate = gate();
    let mut handshake = handshake();
    let from = source("192.0.2.1");
    let hello = asked(&mut gate, &mut handshake, from, start()).second;
    let invalid = Err(HandshakeError::CookieInvalid);
    assert_eq!(judged(&mut gate, &hello, from, start()), Ok(()));
    assert_eq!(judged(&mut gate, &hello, source("192.0.3.1"), start()), invalid);
    assert_eq!(judged(&mut gate, &hello, Source::LOCAL, start()), invalid);
    // The first moment of a bucket is where these tests begin.
    assert_eq!(start().unix.as_secs() % 60, 0);
    assert_eq!(judged(&mut gate, &hello, from, later(Duration::from_secs(119))), Ok(()));
    assert_eq!(judged(&mut gate, &hello, from, later(Duration::from_secs(120))), invalid);
    let past = Now { unix: waxwire::UnixTime::from_secs(start().unix.as_secs() - 1), ..start() };
    assert_eq!(judged(&mut gate, &hello, from, past), invalid);
    let mut other = Gate::new(CookieKey::new(&seed(71)));
    assert_eq!(judged(&mut other, &hello, from, start()), invalid);

    let cookie = Hello::parse(&hello).cookie;
    for bit in 0..cookie.len() * 8 {
        let mut flipped = cookie.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(judged(&mut gate, &with_cookie(&hello, &flipped), from, start()), invalid);
    }
    let longer = [&cookie[..], &[0]].concat();
    for changed in [&cookie[..20], &cookie[..1], &longer, &[0; 64]] {
        assert_eq!(judged(&mut gate, &with_cookie(&hello, changed), from, start()), invalid);
    }
}

/// proto-spec [H-26]: PROTOCOL 8.27. The cookie of one HELLO in another: each thing a cookie
/// vouches for, changed.
#[test]
fn a_cookie_serves_no_other_hello() {
    let mut gate = gate();
    let mut handshake = handshake();
    let from = source("192.0.2.1");
    let second = asked(&mut gate, &mut handshake, from, start()).second;
    let changes: [fn(&mut Hello); 7] = [
        |hello| hello.random[0] ^= 1,
        |hello| hello.link[0] ^= 2,
        |hello| hello.share[0] ^= 1,
        |hello| hello.suites.push(0x5a5a),
        |hello| hello.versions.push(0x5a),
        |hello| hello.extensions = rival::entry(0x2a2a, b"y"),
        |hello| hello.resume = vec![([1; 16], [2; 32])],
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut hello = Hello::parse(&second);
        change(&mut hello);
        hello.padding.clear();
        let record = hello.record(&backend_knock());
        let verdict = judged(&mut gate, &record, from, start());
        assert_eq!(verdict, Err(HandshakeError::CookieInvalid), "change {index}");
    }
}

/// proto-spec [H-26], [H-27]: a cookie is judged also where none was needed, and a HELLO that has
/// one is never sent back for another.
#[test]
fn a_hello_with_a_cookie_is_never_asked_again() {
    let mut gate = gate();
    let mut handshake = handshake();
    let (_, hello) = handshake.hello();
    let from = source("192.0.2.1");
    let made_up = with_cookie(&hello, &[1; 21]);
    assert_eq!(judged(&mut gate, &made_up, from, start()), Err(HandshakeError::CookieInvalid));
    let second = asked(&mut gate, &mut handshake, from, start()).second;
    for number in 0..limits::HALF_OPEN - 1 {
        assert!(gate.admit(prefix(number), start().instant).is_ok());
    }
    for proven in [Proven::No, Proven::Yes] {
        match gate.judge(&greeting(&handshake, &second), from, proven, start()).unwrap() {
            Verdict::Answer(ticket) => gate.release(ticket),
            Verdict::Retry(_) => panic!("asked again"),
        }
        let expired = later(Duration::from_secs(3600));
        let verdict = gate.judge(&greeting(&handshake, &second), from, proven, expired);
        assert_eq!(verdict.map(|_| ()).unwrap_err(), HandshakeError::CookieInvalid);
    }
}

/// proto-spec [H-28], [H-29]: after RETRY the same HELLO comes with the cookie, and the handshake
/// goes on; a RETRY carries nothing but a cookie.
#[test]
fn a_retried_hello_repeats_the_first() {
    let mut gate = gate();
    let mut handshake = handshake();
    let from = source("192.0.2.1");
    let book = {
        // With a chain, so that binders and rids are there to be repeated.
        let mut book = ChainBook::new();
        let pair = Handshake { chain: None, ..self::handshake() }.run(&mut book).unwrap();
        handshake.chain = Some(pair.agent_chain);
        book
    };
    let asked = asked(&mut gate, &mut handshake, from, start());
    let (first, second) = (Hello::parse(&asked.first), Hello::parse(&asked.second));
    assert_eq!(asked.retry.len(), 24 + 2 + 21);
    assert_eq!(second.cookie, asked.retry[26..]);
    let rids = |hello: &Hello| hello.resume.iter().map(|(rid, _)| *rid).collect::<Vec<_>>();
    assert_eq!(rids(&first), rids(&second));
    assert!(!rids(&first).is_empty());
    let bare = |hello: &Hello| Hello {
        cookie: Vec::new(),
        padding: Vec::new(),
        resume: Vec::new(),
        ..hello.clone()
    };
    assert_eq!(bare(&first), bare(&second));
    assert_eq!(judged(&mut gate, &asked.second, from, start()), Ok(()));
    let (answered, reply) = handshake.answer(&asked.second, &book).unwrap();
    let established = handshake.establish(asked.initiator, &reply).unwrap();
    assert!(established.session.is_resumed());
    assert!(handshake.finish(answered, &established.finish).is_ok());
}

/// proto-spec [H-28]: PROTOCOL 8.21.
#[test]
fn a_second_or_malformed_retry_ends_the_handshake() {
    let retry =
        |hello: &[u8], body: &[u8]| rival::record(rival::RETRY, Hello::parse(hello).link, body);
    let cookie = |bytes: usize| rival::lv16(&vec![1; bytes]);
    let mut handshake = handshake();
    for bytes in [14, 21, 64] {
        let (initiator, hello) = handshake.hello();
        let first = retry(&hello, &cookie(bytes));
        let progress = initiator.handle(&mut first.clone(), handshake.now).unwrap();
        let Progress::Again(initiator, _) = progress else { panic!() };
        let again = initiator.handle(&mut first.clone(), handshake.now).map(|_| ());
        assert_eq!(again, Err(HandshakeError::MalformedRetry));
    }
    let breaches: [(&str, Vec<u8>); 6] = [
        ("no cookie", [0; 16].to_vec()),
        ("a suite behind it", [&cookie(21)[..], &[0, 2]].concat()),
        ("a byte behind it", [&cookie(21)[..], &[0]].concat()),
        ("longer than it is", [&[0, 22][..], &[1; 21]].concat()),
        ("shorter than it is", [&[0, 20][..], &[1; 21]].concat()),
        ("a length of its own kind", [&[0xff, 0xff][..], &[1; 40]].concat()),
    ];
    for (name, body) in breaches {
        let (initiator, hello) = handshake.hello();
        let error = handshake.establish(initiator, &retry(&hello, &body)).map(|_| ()).unwrap_err();
        assert_eq!(error, HandshakeError::MalformedRetry, "{name}");
    }
    // Too long for a cookie, or too short for a record: the header says so.
    for bytes in [65, 13, 1] {
        let (initiator, hello) = handshake.hello();
        let error = handshake.establish(initiator, &retry(&hello, &cookie(bytes))).unwrap_err();
        assert!(matches!(error, HandshakeError::Header(_)), "{bytes}");
    }
}
