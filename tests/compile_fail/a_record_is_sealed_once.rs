//! What is written after sealing would not be sealed.

use waxwire::session::RecordWriter;

fn write(mut record: RecordWriter<'_>) {
    record.seal();
    let _ = record.datagram(b"too late");
}

fn main() {
    let _ = write;
}
