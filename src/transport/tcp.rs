//! How a TCP socket is set up so that an urgent record never waits behind the kernel's buffers.

use std::any::Any;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::TransportError;

/// Sets up a connected or accepted socket. The dialling and accepting functions of this crate do
/// it; call it before you wrap a socket yourself, for instance in TLS.
///
/// - `TCP_NODELAY`: a record leaves at once instead of waiting up to 40 ms for the one before it
///   to be acknowledged.
/// - `TCP_NOTSENT_LOWAT` = [`NOT_SENT_BYTES`](crate::limits::NOT_SENT_BYTES) on Linux and Android:
///   the kernel takes no more than it is about to send, so what is still here can be overtaken by
///   something more urgent. A kernel that refuses the option is used without it.
///   On other platforms it is left out: `SO_SNDBUF` would also bound what is unacknowledged, and
///   with it the throughput of a long path.
///
/// # Errors
///
/// [`TransportError::Io`] if the socket is no longer usable.
pub fn tune(stream: &TcpStream) -> Result<(), TransportError> {
    stream.set_nodelay(true)?;
    #[cfg(any(target_os = "android", target_os = "linux"))]
    {
        let bound = crate::limits::NOT_SENT_BYTES;
        socket2::SockRef::from(stream).set_tcp_notsent_lowat(bound).ok();
    }
    Ok(())
}

/// Sets up `stream` if it is a TCP socket and names its other end.
pub(super) fn tune_if_tcp(stream: &dyn Any) -> Result<Option<SocketAddr>, TransportError> {
    let Some(stream) = stream.downcast_ref::<TcpStream>() else {
        return Ok(None);
    };
    tune(stream)?;
    Ok(stream.peer_addr().ok())
}
