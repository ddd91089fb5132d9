//! Two records under way would share a position.

use bytes::BytesMut;
use waxwire::Instant;
use waxwire::session::Session;

fn write(session: &mut Session, now: Instant, one: &mut BytesMut, two: &mut BytesMut) {
    let first = session.record(now, one);
    let second = session.record(now, two);
    drop((first, second));
}

fn main() {
    let _ = write;
}
