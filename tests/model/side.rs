//! One side of the modelled link: what its process knows, what its store keeps, and what each does
//! with a frame. Knows neither the network nor the faults.

/// Messages of the model, each submitted once by the side that [`crate::world::World::origin`] names.
pub const MESSAGES: usize = 3;

/// A set of messages (bit `m`) or of numbers (bit `n`, numbers from 1).
pub type Bits = u8;

pub fn bit(index: u8) -> Bits {
    1 << index
}

/// Where a side keeps what it must not forget.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Store {
    /// On disk: a crash leaves what was synced.
    Durable,
    /// In memory: a crash leaves nothing, and the next life has new epochs.
    Memory,
}

/// What becomes of messages that a lost inbox may have handled.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Doubt {
    /// Sent again, marked AGAIN.
    Again,
    /// Given back to the application.
    Surface,
}

/// A fault planted in the rules. The checker must find each.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Mutation {
    None,
    /// The effect is stored, the mark that the number was handled is not.
    DedupNotDurable,
    /// HANDLED is sent when the message arrives.
    AckBeforeApply,
    /// HANDLED is sent when the handler returns, before effect and mark are on disk.
    AckBeforeFsync,
    /// After a crash the outbox counts on from the rows that are left.
    NumberReuse,
    /// A message is sent before it is on disk.
    SendBeforeFsync,
    /// A message is sent before it is on disk whom it is sent to.
    PeerNotStored,
    /// A new inbox epoch of the peer is taken for the old one.
    InboxEpochIgnored,
    /// A new outbox epoch of the peer is taken for the old one.
    OutboxEpochIgnored,
    /// The handled set of a RESUME is believed even if it is about another outbox.
    ForeignMarks,
    /// Nothing is sent again in the next session.
    NoResend,
    /// A lost inbox is reported without messages.
    NobodyInDoubt,
    /// A duplicate is dropped without an acknowledgement.
    SilentDuplicate,
}

/// What a durable store keeps.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Book {
    pub outbox_epoch: u8,
    pub inbox_epoch: u8,
    /// The number that the next message gets.
    pub next: u8,
    /// Number to message plus one, 0 if the number is free.
    pub rows: [u8; MESSAGES + 1],
    /// The peer's inbox that the rows are sent to; 0 before the first contact.
    pub peer_inbox: u8,
    /// The peer's outbox that `handled` is about; 0 before the first contact.
    pub peer_outbox: u8,
    pub handled: Bits,
}

impl Book {
    pub fn new(life: u8) -> Self {
        Self {
            outbox_epoch: life,
            inbox_epoch: life,
            next: 1,
            rows: [0; MESSAGES + 1],
            peer_inbox: 0,
            peer_outbox: 0,
            handled: 0,
        }
    }

    pub fn numbers(&self) -> impl Iterator<Item = u8> + '_ {
        (1..=MESSAGES as u8).filter(|n| self.rows[*n as usize] != 0)
    }

    pub fn row(&self, number: u8) -> Option<u8> {
        self.rows.get(number as usize).and_then(|row| row.checked_sub(1))
    }

    pub fn messages(&self) -> Bits {
        self.messages_of(Bits::MAX)
    }

    pub fn messages_of(&self, numbers: Bits) -> Bits {
        let rows = self.numbers().filter(|n| numbers & bit(*n) != 0);
        rows.filter_map(|n| self.row(n)).fold(0, |set, m| set | bit(m))
    }
}

/// A frame on its way.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Frame {
    Resume { outbox: u8, inbox: u8, known: u8, handled: Bits },
    Message { number: u8, message: u8, again: bool },
    Handled(Bits),
}

/// A message that arrived and that a handler works on.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Held {
    pub epoch: u8,
    pub number: u8,
    pub message: u8,
    pub again: bool,
}

/// What a side says to its application.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    FirstContact,
    Resumed,
    PeerStateLost { in_doubt: Bits },
}

/// What a RESUME led to.
pub struct Resumption {
    pub outcome: Outcome,
    /// The peer's outbox is another than before.
    pub reset: bool,
    /// Messages that the RESUME said were handled.
    pub freed: Bits,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Side {
    pub store: Store,
    /// What the process knows.
    pub live: Book,
    /// What a crash leaves.
    pub disk: Book,
    /// Numbers that this process sent to `live.peer_inbox`, or found in its store.
    pub maybe_sent: Bits,
    /// Of those, the ones found in the store.
    pub restored: Bits,
    /// Numbers sent in this session.
    pub sent: Bits,
    /// Whether the peer's RESUME of this session arrived.
    pub resumed: bool,
    /// The handled set that the peer was told last.
    pub acked: Bits,
    /// A duplicate arrived: the peer must hear the set again.
    pub ack_due: bool,
    /// Sorted.
    pub held: Vec<Held>,
    /// Effects that the next sync makes durable, together with their marks.
    pub pending: Vec<Held>,
}

impl Side {
    pub fn new(store: Store) -> Self {
        Self::of(store, Book::new(1))
    }

    fn of(store: Store, book: Book) -> Self {
        Self {
            store,
            live: book,
            disk: book,
            maybe_sent: 0,
            restored: 0,
            sent: 0,
            resumed: false,
            acked: 0,
            ack_due: false,
            held: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// The process dies and starts again.
    pub fn crash(&mut self, mutation: Mutation) {
        let mut book = match self.store {
            Store::Durable => self.disk,
            Store::Memory => Book::new(self.live.outbox_epoch + 1),
        };
        if mutation == Mutation::DedupNotDurable {
            book.handled = 0;
        }
        if mutation == Mutation::NumberReuse {
            book.next = book.numbers().max().unwrap_or(0) + 1;
        }
        *self = Self::of(self.store, book);
        if book.peer_inbox != 0 {
            self.maybe_sent = book.numbers().fold(0, |set, n| set | bit(n));
            self.restored = self.maybe_sent;
        }
    }

    pub fn cut(&mut self, mutation: Mutation) {
        if mutation != Mutation::NoResend {
            self.sent = 0;
        }
        self.resumed = false;
        self.ack_due = false;
        self.acked = 0;
    }

    pub fn is_dirty(&self) -> bool {
        self.store == Store::Durable && (self.live != self.disk || !self.pending.is_empty())
    }

    /// What stands where this side's promises may rest on it.
    fn safe(&self) -> &Book {
        match self.store {
            Store::Durable => &self.disk,
            Store::Memory => &self.live,
        }
    }

    pub fn submit(&mut self, message: u8) {
        if let Some(row) = self.live.rows.get_mut(self.live.next as usize) {
            *row = message + 1;
        }
        self.live.next += 1;
    }

    /// The next message that may go.
    pub fn sendable(&self, mutation: Mutation) -> Option<u8> {
        let safe = match mutation {
            Mutation::SendBeforeFsync => &self.live,
            _ => self.safe(),
        };
        let known = safe.peer_inbox == self.live.peer_inbox || mutation == Mutation::PeerNotStored;
        let waits = |n: &u8| self.sent & bit(*n) == 0 && safe.row(*n) == self.live.row(*n);
        self.live.numbers().find(waits).filter(|_| self.resumed && known)
    }

    pub fn send(&mut self, number: u8) -> Option<Frame> {
        let message = self.live.row(number)?;
        let again = self.maybe_sent & bit(number) != 0;
        self.sent |= bit(number);
        self.maybe_sent |= bit(number);
        Some(Frame::Message { number, message, again })
    }

    /// The numbers that may be acknowledged as handled.
    pub fn ackable(&self, mutation: Mutation) -> Bits {
        let held = self.held.iter().filter(|held| held.epoch == self.live.peer_outbox);
        match mutation {
            Mutation::AckBeforeApply => {
                held.fold(self.live.handled, |set, held| set | bit(held.number))
            }
            Mutation::AckBeforeFsync => self.live.handled,
            _ if self.safe().peer_outbox == self.live.peer_outbox => self.safe().handled,
            _ => 0,
        }
    }

    pub fn owes_ack(&self, mutation: Mutation) -> bool {
        self.resumed && (self.ack_due || self.ackable(mutation) != self.acked)
    }

    /// The first frame of a session.
    pub fn resume(&mut self, mutation: Mutation) -> Frame {
        self.acked = self.ackable(mutation);
        Frame::Resume {
            outbox: self.live.outbox_epoch,
            inbox: self.live.inbox_epoch,
            known: self.live.peer_outbox,
            handled: self.acked,
        }
    }

    /// Takes the peer's RESUME.
    pub fn take_resume(
        &mut self,
        (outbox, inbox, known, handled): (u8, u8, u8, Bits),
        doubt: Doubt,
        mutation: Mutation,
    ) -> Resumption {
        self.resumed = true;
        let had_outbox = self.live.peer_outbox != 0;
        let ignored = had_outbox && mutation == Mutation::OutboxEpochIgnored;
        let reset = self.live.peer_outbox != outbox && !ignored;
        if reset {
            self.live.peer_outbox = outbox;
            self.live.handled = 0;
            // What this side's RESUME said was about the outbox before.
            self.acked = 0;
        }
        let about_us = known == self.live.outbox_epoch || mutation == Mutation::ForeignMarks;
        let outcome = match self.live.peer_inbox {
            0 => Outcome::FirstContact,
            same if same == inbox || mutation == Mutation::InboxEpochIgnored => Outcome::Resumed,
            _ => {
                let numbers = self.live.numbers().filter(|n| self.maybe_sent & bit(*n) != 0);
                let lost: Vec<u8> = numbers.collect();
                let in_doubt = match mutation {
                    Mutation::NobodyInDoubt => 0,
                    _ => self.live.messages_of(self.maybe_sent),
                };
                if doubt == Doubt::Surface {
                    lost.iter().for_each(|n| self.live.rows[*n as usize] = 0);
                    self.maybe_sent = 0;
                    self.restored = 0;
                }
                Outcome::PeerStateLost { in_doubt }
            }
        };
        self.live.peer_inbox = inbox;
        let freed = if about_us { self.free(handled) } else { 0 };
        Resumption { outcome, reset: reset && had_outbox, freed }
    }

    /// Frees the rows that the peer handled; returns their messages.
    pub fn free(&mut self, handled: Bits) -> Bits {
        let mut freed = 0;
        for number in 1..=MESSAGES as u8 {
            if let Some(message) = self.live.row(number).filter(|_| handled & bit(number) != 0) {
                freed |= bit(message);
                self.live.rows[number as usize] = 0;
                self.maybe_sent &= !bit(number);
                self.restored &= !bit(number);
                self.sent &= !bit(number);
            }
        }
        freed
    }

    pub fn take_message(&mut self, number: u8, message: u8, again: bool, mutation: Mutation) {
        let epoch = self.live.peer_outbox;
        let held = self.held.iter().any(|held| (held.epoch, held.number) == (epoch, number));
        if self.live.handled & bit(number) != 0 {
            let acknowledged = self.acked & bit(number) != 0;
            self.ack_due |= acknowledged && mutation != Mutation::SilentDuplicate;
        } else if !held {
            self.held.push(Held { epoch, number, message, again });
            self.held.sort_unstable();
        }
    }

    /// The handler of a held message is done.
    pub fn handle(&mut self, index: usize) -> Held {
        let held = self.held.remove(index);
        if held.epoch == self.live.peer_outbox {
            self.live.handled |= bit(held.number);
        }
        held
    }
}
