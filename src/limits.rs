//! Every bound of the product, with its unit and its reason. Knows nothing else.
//!
//! Memory of one session: two sealing contexts a direction (under 1 KiB), the replay window
//! ([`REPLAY_WINDOW`] bits), one pending rekey (under 5 KiB while it lasts; a responder keeps the last
//! one's two frames, under 3 KiB); of one connection on top: one record in ([`RECORD_BYTES`], or what
//! the configuration announces) and one write buffer out ([`WRITE_BUFFER_BYTES`]), each allocated on
//! first use; before authentication at most [`EARLY_DATA_BYTES`] plus one handshake record
//! ([`HANDSHAKE_BYTES`]), and of what the transport holds one record of either kind.

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
/// Rekey frames with a wrong signature before the session ends. An honest peer sends none; each costs
/// the check of a signature.
pub const BAD_SIGNATURES: u32 = 8;
/// REKEY, REKEY_RESP and CREDENTIAL frames of a peer in one [`EPOCH_TIME`], the signatures of which
/// are checked. A rekey for each [`REKEY_BYTES`] stays below it up to 4 GiB a second.
pub const SIGNED_FRAMES: u32 = 256;

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

/// Peers whose chains a dialer keeps in memory, some 150 bytes each; the stalest is forgotten first.
pub const DIALLED_CHAINS: usize = 64;

/// Handshakes under way at once.
pub const HALF_OPEN: usize = 1_024;
/// Handshakes under way at once from one /24 (IPv4) or /56 (IPv6).
pub const HALF_OPEN_PER_PREFIX: u16 = 16;
/// Handshakes under way at once from one /16 (IPv4) or /48 (IPv6), so that the 256 prefixes of one
/// owner are not 256 times the share of one.
pub const HALF_OPEN_PER_NETWORK: u16 = 256;
/// Handshakes under way at once from one /32 (IPv6), which is what a provider is given, so that one
/// of them leaves half of all places to the others.
pub const HALF_OPEN_PER_BLOCK: u16 = 512;
/// Handshakes that one prefix may begin per second on average, once [`HELLO_BURST`] is spent.
pub const HELLOS_PER_SECOND: u32 = 32;
/// Handshakes that one prefix may begin at once after silence. A network or a block may begin as
/// many times more, at once and per second, as it may have under way.
pub const HELLO_BURST: u32 = 64;
/// Prefixes, networks and blocks whose rate is remembered, of about 100 bytes each; the longest silent
/// is forgotten first. Those of all places, three each at most, fit five times over.
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
/// How long a connection that finished its handshake waits to be accepted. Nobody drives it
/// meanwhile, so it is below every span after which its session would have something to do.
pub const ACCEPT_TIME: Duration = Duration::from_secs(20);
/// Pause of a listener after the system gave it no connection, for instance for want of
/// descriptors, so that it does not spin until others end.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Commands or datagrams that wait between a handle and its driver.
pub const HANDLE_QUEUE: usize = 64;

/// Ranges of message numbers in one frame at most: what is missing beyond them is learned from the
/// next.
pub const ACK_RANGES: usize = 32;

/// Bytes of the id in a stored row's key.
pub const STORE_KEY_BYTES: usize = 255;
/// Bytes that a store in a file caches. redb's own default is 1 GiB.
pub const STORE_CACHE_BYTES: usize = 4 * 1024 * 1024;
/// Batches of one link on their way to the store at most: one that is being committed, and one that
/// gathers what happens meanwhile.
pub const KEEP_BATCHES: usize = 2;
/// Bytes of messages after which a commit takes no further batch. It bounds what is sealed at once, and
/// how long the first batch waits for the last.
pub const KEEP_COMMIT_BYTES: usize = 8 * 1024 * 1024;
/// First pause after a commit that failed; it doubles with each that follows.
pub const STORE_RETRY_TIME: Duration = Duration::from_secs(1);
/// The same at most: what a person who made room on the disk still waits for.
pub const STORE_RETRY_TIME_MAX: Duration = Duration::from_secs(30);

// body
/// Arrays and maps in one another, at most. Whoever reads a body recurses once for each.
pub const BODY_DEPTH: usize = 16;
/// Integers are at most so far from zero: what a number of JavaScript holds without rounding.
pub const BODY_INTEGER_MAX: u64 = 1 << 53;
/// Bytes of a message's headers as they travel: what a length of two bytes can say.
pub const HEADERS_BYTES: usize = 65_535;
/// Headers of a message at most.
pub const HEADER_ENTRIES: usize = 64;
/// Bytes of the key of a header at most.
pub const HEADER_KEY_BYTES: usize = 255;

// channel
/// Bytes of a channel name or pattern at most: what a length of one byte can say.
pub const CHANNEL_NAME_BYTES: usize = 255;
/// Tokens of a channel name or pattern at most. Bounds the depth of a look-up.
pub const CHANNEL_TOKENS: usize = 16;
/// Subscriptions of one connection at most; under 200 KiB.
pub const SUBSCRIPTIONS: usize = 50;
/// Subscribers of one channel, or of one pattern with wildcards, at most.
pub const SUBSCRIBERS: usize = 10_000;
/// Channels that are listed at most: ten of each of 10 000 agents. Under 600 bytes each.
pub const CHANNELS: usize = 100_000;
/// Channels under the id of one agent that are listed at most: four times those that need not be
/// created, so that one agent takes no more than a thousandth of the list.
pub const CHANNELS_PER_AGENT: usize = 64;

// call
/// Time for an answer unless the caller says otherwise. A person still waits this long.
pub const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Requests of one link under way at once, at the side that asks.
pub const REQUESTS: usize = 4_096;
/// Calls of one peer open at once, at the side that answers; more are refused as busy.
pub const CALLS: usize = 256;
/// Ended calls of one peer that are remembered, so that a late copy of a request is not run again.
/// Four times [`CALLS`]: 16 bytes each.
pub const CALLS_REMEMBERED: usize = 1_024;
/// Items of one stream that its sender keeps until they have arrived.
pub const STREAM_ITEMS: u64 = 64;
/// Bytes of the same; one item may be larger.
pub const STREAM_BYTES: usize = 256 * 1024;
/// Bytes that all streams of one peer keep at most; then a handler waits.
pub const STREAMS_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of the text of a failure at most: a sentence, not a log.
pub const FAILURE_TEXT_BYTES: usize = 512;
/// Time in which a command must begin, unless its issuer says otherwise: an agent switched off over
/// night gets it in the morning.
pub const COMMAND_TIME: Duration = Duration::from_secs(24 * 3600);
/// How long after its time an issuer still waits for a report before it calls a command unknown.
pub const COMMAND_GRACE: Duration = Duration::from_secs(60);
/// Commands of one link that an issuer follows. One that is settled gives way to a new one, the oldest
/// first.
pub const COMMANDS_ISSUED: usize = 1_024;
/// Commands of one peer that an executor has begun or is about to; more fail as busy.
pub const COMMANDS_OPEN: usize = 64;
/// Bytes of their payloads at most.
pub const COMMANDS_OPEN_BYTES: usize = 4 * 1024 * 1024;
/// Results of one peer's commands that an executor keeps for duplicates; the oldest goes first.
pub const RESULTS: usize = 1_024;
/// Bytes of the same.
pub const RESULT_BYTES: usize = 4 * 1024 * 1024;
/// How long a result is kept: longer than a chain can be resumed, no duplicate can come.
pub const RESULT_TIME: Duration = Duration::from_secs(7 * 24 * 3600);

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
/// How long the peer may take to say that it holds a message: three round
/// trips of 1 s, the longest that a satellite makes.
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
/// Refusals of a class whose sender did not yet say that it knows, beyond which nothing new of the class
/// is taken. Four windows of credit, so that a sender that listens never meets it.
pub const INBOX_VERDICTS: usize = 4_096;

// link
/// Silence of the peer after which it is asked for a sign of life: nginx and AWS load balancers close
/// after 60 s of silence unless told otherwise.
pub const HEARTBEAT_TIME: Duration = Duration::from_secs(30);
/// Tenths by which that varies in both directions, so that many links do not ask at once.
pub const HEARTBEAT_JITTER_TENTHS: u32 = 1;
/// Silence after which the session is given up: two questions went without an answer.
pub const LINK_DEAD_TIME: Duration = Duration::from_secs(60);
/// Answers to the peer's subscriptions and the like that wait to be sent at most. An honest peer
/// makes at most [`SUBSCRIPTIONS`] wait.
pub const NOTICES: usize = 256;
/// Events that wait for the application before a record of the peer ends the session. What credit and
/// the outbox let an honest peer bring about is half of it.
pub const LINK_EVENTS: usize = 16 * 1024;
/// Datagrams that wait for the application; more are dropped, as they are worth nothing if late.
pub const LINK_DATAGRAMS: usize = 64;
/// Events of a link that its application did not hear yet; the oldest is missed then.
pub const LINK_NEWS: usize = 64;
/// Records that a driver reads before other tasks of its thread have their turn.
pub const RECORDS_AT_ONCE: usize = 16;
/// Bytes of messages that a subscriber dropped without a word, kept for the next one.
pub const UNCLAIMED_BYTES: usize = 4 * 1024 * 1024;
/// How long a link that is closed waits for its peer to be done with what was sent.
pub const DRAIN_TIME: Duration = Duration::from_secs(10);

// agent
/// Longest wait before a link that lost a session that lived dials again.
pub const RECONNECT_FIRST: Duration = Duration::from_secs(5);
/// Longest wait after the first failure in a row; doubled after each further one.
pub const RECONNECT_BASE: Duration = Duration::from_secs(1);
/// What it grows to.
pub const RECONNECT_MAX: Duration = Duration::from_secs(60);
/// Life of a session after which failures before it count no more.
pub const RECONNECT_STABLE: Duration = Duration::from_secs(60);
/// Wait of a link that was replaced: two processes with one identity shall not take turns.
pub const RECONNECT_REPLACED: Duration = Duration::from_secs(60);

// backend
/// Agents whose links a backend keeps, here or not.
pub const AGENTS: usize = 10_000;
/// Comings and goings of agents that a listener did not hear yet; the oldest is missed then.
pub const PRESENCE: usize = 1_024;
/// When a backend that drains asks its agents to come back at the earliest: a restart takes as long.
pub const GO_AWAY_TIME: Duration = Duration::from_secs(1);
/// Span over which they spread from then: 10 000 agents are 1 000 handshakes a second.
pub const GO_AWAY_SPREAD: Duration = Duration::from_secs(10);

// link
/// Names that a peer may give aliases in one session; under 100 KiB.
pub const ALIASES: usize = 256;
