//! Which of a session's own frames go into a record of limited room.

use bytes::{Bytes, BytesMut};

use crate::session::control::Control;
use crate::wire::CloseCode;

/// A frame that fits to the byte is written and forgotten; one that does not waits for a record with
/// more room.
#[test]
fn a_frame_that_does_not_fit_waits() {
    let before = b"a record begun".as_slice();
    for (room, expected) in [(19, [false, false]), (20, [true, false]), (49, [true, false])] {
        assert_eq!(written(&waiting(), before, room), expected, "{room} bytes");
    }
    assert_eq!(written(&waiting(), before, 50), [true, true]);
    // The second one may fit where the first does not.
    let control = Control { rekey: Some(Bytes::from(vec![REKEY; 40])), ..waiting() };
    assert_eq!(written(&control, before, 39), [false, true]);
}

/// A CLOSE takes its ten bytes from what the long frames may take.
#[test]
fn room_is_kept_for_a_close() {
    let close = Some((CloseCode::Normal, 7));
    for (room, expected) in
        [(29, [false, false]), (30, [true, false]), (59, [true, false]), (60, [true, true])]
    {
        let control = Control { close, ..waiting() };
        let mut out = BytesMut::new();
        assert_eq!(written(&control, b"", room), expected, "{room} bytes");
        control.write(room, &mut out);
        assert!(out.len() <= room);
    }
}

/// What was written is forgotten, what was not is not, and small frames always are.
#[test]
fn only_what_was_not_written_waits_on() {
    for (room, waits) in [(0, [true, true]), (20, [false, true]), (50, [false, false])] {
        let mut control = Control { ping: Some(1), ..waiting() };
        // A PING takes twelve bytes.
        let written = control.write(12 + room, &mut BytesMut::new());
        control.forget(written);
        assert_eq!([control.rekey.is_some(), control.credential.is_some()], waits, "{room} bytes");
        assert!(control.ping.is_none());
        assert_eq!(control.is_empty(), waits == [false, false]);
    }
}

/// A REKEY of 20 bytes and a CREDENTIAL of 30.
fn waiting() -> Control {
    let (rekey, credential) = (Bytes::from(vec![REKEY; 20]), Bytes::from(vec![CREDENTIAL; 30]));
    Control { rekey: Some(rekey), credential: Some(credential), ..Control::default() }
}

/// Which of the two long frames went behind `before`, in that order.
fn written(control: &Control, before: &[u8], room: usize) -> [bool; 2] {
    let mut out = BytesMut::from(before);
    control.write(room, &mut out);
    let written = out.strip_prefix(before).unwrap();
    [REKEY, CREDENTIAL].map(|byte| written.contains(&byte))
}

/// What the two frames are filled with; no other frame holds it.
const REKEY: u8 = 0xa1;
const CREDENTIAL: u8 = 0xa2;
