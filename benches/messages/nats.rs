//! The peer NATS: a nats-server of its own, on a free port and in a temporary folder, and clients.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::{Client, ConnectOptions};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

const PROGRAM: &str = "nats-server";
/// Messages that a client keeps for one subscriber before it drops.
const SUBSCRIPTION_CAPACITY: usize = 256 * 1024;

/// A running server, stopped when it is dropped.
pub struct Nats {
    server: Child,
    folder: TempDir,
    port: u16,
    security: Security,
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub enum Security {
    Plain,
    MutualTls,
}

impl Nats {
    /// Starts a server; with JetStream, whose streams are in files of a folder on disk. `None` if none
    /// is installed, which is said.
    pub fn start(security: Security) -> Option<Self> {
        let version = Command::new(PROGRAM).arg("--version").output();
        let Ok(version) = version else {
            println!("NOT RUN: what compares with NATS (apt-get install nats-server)");
            return None;
        };
        let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
        let tls = if security == Security::MutualTls { ", mutual TLS" } else { ", plain TCP" };
        println!("peer: {version}{tls}, a process of its own; async-nats, one connection a side");
        let folder = crate::disk::folder();
        let port = free_port();
        let path = folder.path();
        let mut config = format!(
            "listen: 127.0.0.1:{port}\njetstream {{ store_dir: {:?} }}\n",
            path.join("jetstream")
        );
        if security == Security::MutualTls {
            certificates(path);
            config += &format!(
                "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}\n",
                path.join("server.pem"),
                path.join("server.key"),
                path.join("root.pem")
            );
        }
        let file = path.join("nats.conf");
        std::fs::write(&file, config).unwrap();
        let server = Command::new(PROGRAM)
            .arg("-c")
            .arg(file)
            .args(["-l".as_ref(), path.join("log").as_os_str()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nats = Self { server, folder, port, security };
        nats.wait();
        Some(nats)
    }

    fn wait(&self) {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(10), "no nats-server:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A connection of its own.
    pub async fn connect(&self) -> Client {
        let mut options = ConnectOptions::new().subscription_capacity(SUBSCRIPTION_CAPACITY);
        if self.security == Security::MutualTls {
            let path = self.folder.path();
            options = options
                .require_tls(true)
                .add_root_certificates(path.join("root.pem"))
                .add_client_certificate(path.join("client.pem"), path.join("client.key"));
        }
        options.connect(format!("localhost:{}", self.port)).await.unwrap()
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A root, and a certificate under it for each side.
fn certificates(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join("root.pem"), root.pem()).unwrap();
    for (side, name) in [("server", "localhost"), ("client", "client")] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &root).unwrap();
        std::fs::write(folder.join(format!("{side}.pem")), leaf.pem()).unwrap();
        std::fs::write(folder.join(format!("{side}.key")), key.serialize_pem()).unwrap();
    }
}
