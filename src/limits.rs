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

// delivery: outbox, inbox
//
// Memory of what survives a session, for one peer. Out: [`OUTBOX_BYTES`] of content, or one message
// that is larger; under 200 bytes for each of [`OUTBOX_MESSAGES`]; 12 for each of [`OUTBOX_SPAN`] numbers
// a class between the oldest message and the newest; [`DEAD_LETTER_BYTES`]. In: 64 bytes for each of
// [`INBOX_MESSAGES`] a class that handlers work on, 48 for each of [`INBOX_RANGES`] a class. In all under
// 10 MiB when everything is full and scattered; an idle link holds none of it.

/// Highest number of a message. Nobody sends so many; what stands above in a frame is an error.
pub const NUMBER_MAX: u64 = 1 << 62;
/// Ranges of an acknowledgement at most: with them the frame has 525 bytes.
pub const NUMBER_RANGES: usize = 32;
/// Messages that wait for their acknowledgement, sent or not, at most.
pub const OUTBOX_MESSAGES: usize = 1_000;
/// Bytes of them at most; one message alone may be larger.
pub const OUTBOX_BYTES: usize = 4 * 1024 * 1024;
/// Numbers of a class between its oldest message that is not settled and its newest, at most: one
/// handler that hangs does not hold back the 65 535 messages behind it.
pub const OUTBOX_SPAN: usize = 64 * 1024;
/// Times that a message is sent on links that live before it becomes a dead letter.
pub const SEND_ATTEMPTS: u8 = 3;
/// How long the peer may take to say that it holds a message: three of the longest round trips that
/// are tested, 1 s by satellite.
pub const ACK_WAIT: Duration = Duration::from_secs(3);
/// The same at most, for a message that was sent more than once.
pub const ACK_WAIT_MAX: Duration = Duration::from_secs(30);
/// Dead letters kept; the oldest is dropped first, and counted.
pub const DEAD_LETTERS: usize = 100;
/// Bytes of them at most.
pub const DEAD_LETTER_BYTES: usize = 1024 * 1024;
/// Messages after which an acknowledgement goes: 17 bytes for 32 messages, and a sender with 256 in
/// flight hears eight times in each round trip.
pub const ACK_MESSAGES: u32 = 32;
/// How long an acknowledgement waits for more to tell. Below what a person notices, and a fifth of
/// the round trip to another continent.
pub const ACK_DELAY: Duration = Duration::from_millis(20);
/// Messages of a class that arrived and are not handled, at most. Four times what credit lets a peer
/// send before the first is handed on, as handlers work on what was.
pub const INBOX_MESSAGES: usize = 4_096;
/// Gaps between the numbers of a class that arrived, at most. A transport that keeps order leaves
/// none within a session.
pub const INBOX_RANGES: usize = 256;
/// Refusals of a class that are remembered for a sender that did not hear of them.
pub const INBOX_VERDICTS: usize = 16;
