//! Every bound of the product, with its unit and its reason. Knows nothing else.
//!
//! Memory of one session: two sealing contexts a direction (under 1 KiB), the replay window
//! ([`REPLAY_WINDOW`] bits), one pending rekey (under 5 KiB while it lasts; a responder keeps the last
//! one's two frames, under 3 KiB); of one connection on top: one record in ([`RECORD_BYTES`]) and one write buffer out ([`WRITE_BUFFER_BYTES`]), each
//! allocated on first use; before authentication at most [`EARLY_DATA_BYTES`] plus one handshake
//! record.

use std::time::Duration;

/// Plaintext bytes of a DATA record unless the receiver announced another maximum. 16 KiB: at
/// 10 Mbit/s a critical message waits 13 ms behind one such record.
pub const RECORD_BYTES: usize = 16 * 1024;
/// Smallest maximum a receiver may announce: a REKEY frame must fit.
pub const RECORD_BYTES_MIN: usize = 2 * 1024;
/// Largest maximum a receiver may announce: what the 16-bit length leaves beside the tag.
pub const RECORD_BYTES_MAX: usize = 65_519;

/// Smallest HELLO body: hides the suite and removes any gain from amplification.
pub const HELLO_BYTES_MIN: usize = 1_280;
/// Largest HELLO body.
pub const HELLO_BYTES: usize = 4 * 1024;
/// Largest REPLY or FINISH body: two credentials of 2 KiB, a share and room for parameters.
pub const HANDSHAKE_BYTES: usize = 8 * 1024;
/// Cookie bytes at most.
pub const COOKIE_BYTES: usize = 64;
/// Versions or suites offered at most.
pub const OFFERS: usize = 8;
/// Chains offered for resumption at most: the current one and the one a crash may have left.
pub const RESUME_OFFERS: usize = 2;
/// Credentials of a chain at most: a leaf and one issuer below the root.
pub const CREDENTIAL_CHAIN: usize = 2;
/// Bytes of one credential at most.
pub const CREDENTIAL_BYTES: usize = 2 * 1024;
/// Keys a responder accepts knocks for at most; each costs one HMAC per HELLO.
pub const KNOCK_KEYS: usize = 4;
/// DATA bytes a responder holds while it decides about FINISH.
pub const EARLY_DATA_BYTES: usize = 64 * 1024;
/// From the start of a connection to the end of its handshake, an upgrade included.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(5);

/// Positions that a receiver remembers under one session.
pub const REPLAY_WINDOW: u64 = 1_024;
/// First sequence number that is never used.
pub const SEQ_END: u64 = 1 << 62;
/// Records sealed in one epoch before its key is replaced.
pub const EPOCH_RECORDS: u64 = 4_096;
/// Use of one epoch before its key is replaced.
pub const EPOCH_TIME: Duration = Duration::from_secs(60);
/// Records between two announcements of an epoch the peer has not proven to have seen.
pub const EPOCH_REMIND_RECORDS: u64 = 256;
/// How long the key of the epoch before still opens records.
pub const EPOCH_OVERLAP_TIME: Duration = Duration::from_secs(30);
/// How many records of the new epoch may be opened before the key of the one before is erased.
pub const EPOCH_OVERLAP_RECORDS: u64 = 1_024;
/// Bytes sealed and opened before the initiator runs a fresh key exchange in band.
pub const REKEY_BYTES: u64 = 1 << 30;
/// Time before the initiator runs a fresh key exchange in band.
pub const REKEY_TIME: Duration = Duration::from_secs(15 * 60);
/// Silence after which an unanswered REKEY is sent again.
pub const REKEY_RETRY_TIME: Duration = Duration::from_secs(3);
/// Silence after which a session's keys are erased.
pub const SESSION_IDLE_TIME: Duration = Duration::from_secs(540);
/// Records that may fail authentication on a transport that reorders before the session ends.
pub const FORGERIES: u64 = 1 << 20;

/// Difference of two wall clocks that a credential's validity tolerates.
pub const CLOCK_SKEW: Duration = Duration::from_secs(300);
/// Life of a credential unless its issuer says otherwise.
pub const CREDENTIAL_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How long after a handshake its chain may be resumed.
pub const CHAIN_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Bytes of a key file that are read. A key has some 120 bytes of PEM.
pub const KEY_FILE_BYTES: usize = 16 * 1024;
/// Chains that a backend keeps in memory; the stalest is forgotten first.
pub const CHAINS: usize = 100_000;

/// Handshakes under way at once.
pub const HALF_OPEN: usize = 1_024;
/// Handshakes under way at once from one /24 (IPv4) or /56 (IPv6).
pub const HALF_OPEN_PER_PREFIX: u16 = 16;
/// Handshakes that one prefix may begin per second on average, once [`HELLO_BURST`] is spent.
pub const HELLOS_PER_SECOND: u32 = 32;
/// Handshakes that one prefix may begin at once after silence.
pub const HELLO_BURST: u32 = 64;
/// Prefixes whose rate is remembered; the longest silent is forgotten first.
pub const GATE_PREFIXES: usize = 16 * 1024;
/// Life of a cookie key; a cookie serves during its own bucket and the next.
pub const COOKIE_TIME: Duration = Duration::from_secs(60);

/// Bytes that may wait for a slow socket before a sender waits. Small, so that a relay or a load
/// balancer cannot rebuild the queue that priorities need.
pub const WRITE_BUFFER_BYTES: usize = 16 * 1024;
/// First size of a read buffer; it grows to one record on demand. tungstenite's own default of
/// 128 KiB costs 1.3 GB at 10 000 connections.
pub const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Bytes written to a socket that its peer has not taken yet (`TCP_NOTSENT_LOWAT`).
pub const NOT_SENT_BYTES: u32 = 16 * 1024;
/// Bytes of an HTTP upgrade request, or of its answer, at most.
pub const UPGRADE_BYTES: usize = 8 * 1024;
/// How long a side that closes waits for its peer to take the news.
pub const CLOSE_TIME: Duration = Duration::from_secs(5);
/// Pause of a listener after the system gave it no connection, for instance for want of
/// descriptors, so that it does not spin until others end.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Commands or datagrams that wait between a handle and its driver.
pub const HANDLE_QUEUE: usize = 64;

// delivery: queue, credit, chunks
//
// Memory of one link's messages. Out: at most [`QUEUE_BYTES`] that wait, some 200 bytes for each of
// [`QUEUE_MESSAGES`], and [`QUEUE_CONTROL_BYTES`]. In: at most [`CLASS_WINDOW_BYTES`] a class that were
// not handed on, 8 MiB, and [`REASSEMBLY_BYTES`] in pieces; and [`SUBSCRIPTION_WINDOW_BYTES`] for each
// subscription whose subscriber took nothing of it. An idle link holds none of it.

/// Messages that wait to be sent at most.
pub const QUEUE_MESSAGES: usize = 1_000;
/// Bytes of them at most.
pub const QUEUE_BYTES: usize = 4 * 1024 * 1024;
/// The protocol's own frames that wait at most, beside the messages: none of them grows with what an
/// application sends.
pub const QUEUE_CONTROL_MESSAGES: usize = 256;
/// Bytes of them at most: an acknowledgement has 525 at most, most frames have under 64.
pub const QUEUE_CONTROL_BYTES: usize = 64 * 1024;
/// What the least urgent class may send in one round. One record: a smaller one would be overdrawn by
/// each piece of a large message.
pub const QUEUE_QUANTUM_BYTES: usize = 16 * 1024;
/// What a message counts in its class's share at least, as an empty one costs work too.
pub const QUEUE_COST_BYTES: usize = 64;
/// Wait after which a message goes before younger ones of other classes, critical aside. Two rounds
/// take 0.4 s at 10 Mbit/s, so this helps on slower links only.
pub const QUEUE_AGE_TIME: Duration = Duration::from_secs(1);
/// Messages of a class that the peer may send before the first was handed on to its subscription or
/// its handler.
pub const CLASS_WINDOW_MESSAGES: u64 = 1_024;
/// Bytes of them: 160 Mbit/s at a round trip of 100 ms, and twice [`MESSAGE_BYTES`], so that half of
/// it lets the largest message through.
pub const CLASS_WINDOW_BYTES: u64 = 2 * 1024 * 1024;
/// Messages of a subscription that the peer may send before its subscriber took the first.
pub const SUBSCRIPTION_WINDOW_MESSAGES: u64 = 512;
/// Bytes of them: twice [`MESSAGE_BYTES`], for the reason of [`CLASS_WINDOW_BYTES`].
pub const SUBSCRIPTION_WINDOW_BYTES: u64 = 2 * 1024 * 1024;
/// Credit in total above which it is an error. Nobody sends so much in one session.
pub const CREDIT_TOTAL_MAX: u64 = 1 << 62;
/// Unacknowledged bytes of a bulk class that are always allowed: two records, so that one is under way
/// while the other is acknowledged.
pub const IN_FLIGHT_BYTES_MIN: usize = 32 * 1024;
/// Unacknowledged bytes of a bulk class at most: 1 Gbit/s at a round trip of 130 ms.
pub const IN_FLIGHT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long bulk may stand in the buffers on the path. A critical message waits behind it.
pub const IN_FLIGHT_TIME: Duration = Duration::from_millis(50);
/// How often the path's own round trip is measured anew, with one message in flight. It costs two
/// round trips without bulk, 1 % at 150 ms.
pub const IN_FLIGHT_PROBE_TIME: Duration = Duration::from_secs(30);
/// Content of one message unless configured otherwise.
pub const MESSAGE_BYTES: usize = 1024 * 1024;
/// Content of one message at most.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Content of one piece at most: one record.
pub const CHUNK_BYTES: usize = 16 * 1024;
/// Room in a record that a piece is not worth its frame below, unless it is the last.
pub const CHUNK_BYTES_MIN: usize = 512;
/// Bytes of unfinished messages: one of [`MESSAGE_BYTES`] in each class.
pub const REASSEMBLY_BYTES: usize = 4 * 1024 * 1024;
