//! The peer snow: Noise XX over X25519, ChaCha20-Poly1305 and SHA-256, with pinned static keys.

use snow::params::NoiseParams;
use snow::{Builder, HandshakeState, Keypair, TransportState};

const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_SHA256";

/// Two parties whose keys and parameters are made once and used for all their handshakes.
pub struct Noise {
    params: NoiseParams,
    initiator: Keypair,
    responder: Keypair,
}

impl Noise {
    pub fn new() -> Self {
        let params: NoiseParams = PATTERN.parse().unwrap();
        let keys = || Builder::new(params.clone()).generate_keypair().unwrap();
        let (initiator, responder) = (keys(), keys());
        Self { params, initiator, responder }
    }

    /// A whole handshake: three messages, and each side finds the other's static key to be the one
    /// it pinned.
    pub fn handshake(&self) -> (TransportState, TransportState) {
        let mut initiator = self.builder(&self.initiator).build_initiator().unwrap();
        let mut responder = self.builder(&self.responder).build_responder().unwrap();
        pass(&mut initiator, &mut responder);
        pass(&mut responder, &mut initiator);
        assert_eq!(initiator.get_remote_static(), Some(&*self.responder.public));
        pass(&mut initiator, &mut responder);
        assert_eq!(responder.get_remote_static(), Some(&*self.initiator.public));
        (initiator.into_transport_mode().unwrap(), responder.into_transport_mode().unwrap())
    }

    fn builder<'a>(&self, own: &'a Keypair) -> Builder<'a> {
        let builder = Builder::new(self.params.clone());
        builder.local_private_key(&own.private).unwrap().prologue(b"bench").unwrap()
    }
}

/// Carries one handshake message.
fn pass(from: &mut HandshakeState, to: &mut HandshakeState) {
    let (mut message, mut payload) = ([0; 256], [0; 256]);
    let length = from.write_message(&[], &mut message).unwrap();
    to.read_message(&message[..length], &mut payload).unwrap();
}
