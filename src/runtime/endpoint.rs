//! Where to dial or to listen, as one line of text.

use crate::error::{Error, ErrorKind};

/// An address with the transport that leads there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Endpoint {
    /// `ws://host[:port]/path`.
    #[cfg(feature = "websocket")]
    WebSocket(String),
    /// `tcp://host:port`.
    Tcp(String),
}

impl Endpoint {
    /// Reads an endpoint.
    pub(crate) fn new(text: &str) -> Result<Self, Error> {
        let refused = |why: &'static str| Err(Error::with(ErrorKind::Config, why));
        match text.split_once("://") {
            #[cfg(feature = "websocket")]
            Some(("ws", _)) => Ok(Self::WebSocket(text.to_owned())),
            #[cfg(not(feature = "websocket"))]
            Some(("ws", _)) => refused("ws:// needs the feature `websocket`"),
            Some(("tcp", address)) => Ok(Self::Tcp(address.trim_end_matches('/').to_owned())),
            Some(("wss", _)) => refused("wss:// is not supported; records are sealed without it"),
            _ => refused("an endpoint begins with ws:// or tcp://"),
        }
    }

    /// The part that a listener binds: `host:port`.
    pub(crate) fn address(&self) -> &str {
        match self {
            #[cfg(feature = "websocket")]
            Self::WebSocket(url) => {
                let rest = url.split_once("://").map_or("", |(_, rest)| rest);
                rest.split('/').next().unwrap_or_default()
            }
            Self::Tcp(address) => address,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_names_its_transport_and_address() {
        assert_eq!(Endpoint::new("tcp://[::1]:7400/").unwrap().address(), "[::1]:7400");
        #[cfg(feature = "websocket")]
        {
            let endpoint = Endpoint::new("ws://127.0.0.1:0/agents").unwrap();
            assert_eq!(endpoint.address(), "127.0.0.1:0");
            assert_eq!(endpoint, Endpoint::WebSocket("ws://127.0.0.1:0/agents".to_owned()));
        }
        for bad in ["127.0.0.1:7400", "http://a/", "wss://a/", ""] {
            assert_eq!(Endpoint::new(bad).unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
    }
}
