//! Parts of a measurement that need a process of their own: this program, started again.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::{grown, idle};

/// First argument of such a process.
pub const FLAG: &str = "--part";

/// A part that runs; it is stopped when this is dropped.
pub struct Process {
    process: Child,
    orders: RefCell<ChildStdin>,
    lines: RefCell<BufReader<ChildStdout>>,
}

impl Process {
    pub fn start(arguments: &[&str]) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut process = Command::new(program)
            .arg(FLAG)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = RefCell::new(process.stdin.take().unwrap());
        let lines = RefCell::new(BufReader::new(process.stdout.take().unwrap()));
        Self { process, orders, lines }
    }

    /// The next line that it prints.
    pub fn line(&self) -> String {
        let mut line = String::new();
        self.lines.borrow_mut().read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the process ended");
        line.trim().to_owned()
    }

    /// Has it do something, and returns what it says of it.
    pub fn ask(&self, order: &str) -> String {
        writeln!(self.orders.borrow_mut(), "{order}").unwrap();
        self.line()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Is such a process.
pub fn run(arguments: &[String]) {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match arguments[..] {
            ["relay", target] => relay(target).await,
            ["hold", "ours"] => grown::hold().await,
            ["hold", "bare"] => idle::hold_bare().await,
            ["dial", "ours", address, count] => grown::dial(address, count.parse().unwrap()).await,
            ["dial", "bare", address, count] => {
                idle::dial_bare(address, count.parse().unwrap()).await;
            }
            _ => panic!("no part does {arguments:?}"),
        }
    });
}

/// Says something to the process that started this one.
pub fn say(line: &str) {
    println!("{line}");
}

/// The next order, without holding up the runtime's thread.
pub async fn order() -> String {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).unwrap();
        line.trim().to_owned()
    });
    let order = read.await.unwrap();
    if order.is_empty() {
        // Whoever started this is gone.
        std::process::exit(0);
    }
    order
}

/// Carries bytes between whoever dials it and `target`, and reads none of them.
async fn relay(target: &str) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    say(&listener.local_addr().unwrap().to_string());
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = tokio::net::TcpStream::connect(target).await.unwrap();
        near.set_nodelay(true).unwrap();
        far.set_nodelay(true).unwrap();
        tokio::spawn(async move {
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        });
    }
}
