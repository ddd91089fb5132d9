//! The peer rustls: mutual TLS 1.3 in memory, with the algorithms that ours uses, on aws-lc-rs.

use std::hint::black_box;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ED25519};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, RootCertStore, ServerConfig,
    ServerConnection, SideData, version,
};

use crate::measure::Contender;

/// X25519MLKEM768 and ChaCha20-Poly1305 only; leaves with Ed25519 keys under one root; no tickets
/// and no resumption.
pub fn mutual() -> Contender<'static> {
    let tls = Tls::new();
    tls.handshake();
    let run = move |count| {
        for _ in 0..count {
            black_box(tls.handshake());
        }
    };
    ("rustls mutual TLS 1.3", Box::new(run))
}

struct Tls {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    name: ServerName<'static>,
}

impl Tls {
    fn new() -> Self {
        let authority = authority();
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let roots = Arc::new(roots);
        let provider = Arc::new(CryptoProvider {
            kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768],
            cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256],
            ..aws_lc_rs::default_provider()
        });

        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let (chain, key) = leaf(&authority, "agent.test");
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&version::TLS13])
            .unwrap()
            .with_webpki_verifier(verifier.build().unwrap())
            .with_client_auth_cert(chain, key)
            .unwrap();
        client.resumption = Resumption::disabled();

        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
        let (chain, key) = leaf(&authority, "backend.test");
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(chain, key)
            .unwrap();
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;

        let name = ServerName::try_from("backend.test").unwrap();
        Self { client: Arc::new(client), server: Arc::new(server), name }
    }

    fn handshake(&self) -> (ClientConnection, ServerConnection) {
        let config = Arc::clone(&self.client);
        let mut client = ClientConnection::new(config, self.name.clone()).unwrap();
        let mut server = ServerConnection::new(Arc::clone(&self.server)).unwrap();
        let mut wire = Vec::with_capacity(8 * 1024);
        while client.is_handshaking() || server.is_handshaking() {
            pass(&mut client, &mut server, &mut wire);
            pass(&mut server, &mut client, &mut wire);
        }
        assert!(client.peer_certificates().is_some() && server.peer_certificates().is_some());
        (client, server)
    }
}

/// Carries what one side has to write.
fn pass<A: SideData, B: SideData>(
    from: &mut ConnectionCommon<A>,
    to: &mut ConnectionCommon<B>,
    wire: &mut Vec<u8>,
) {
    wire.clear();
    while from.wants_write() {
        from.write_tls(wire).unwrap();
    }
    let mut unread = wire.as_slice();
    while !unread.is_empty() {
        to.read_tls(&mut unread).unwrap();
        to.process_new_packets().unwrap();
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate_for(&PKCS_ED25519).unwrap()).unwrap()
}

fn leaf(
    authority: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    (vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}
