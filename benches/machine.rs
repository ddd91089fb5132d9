//! What a run ran on, and with.

use std::process::Command;

/// Prints processor, compiler and build.
pub fn describe() {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    println!("machine: {model}, {cores} cores, load {load} at start");
    println!("compiler: {}; profile bench (opt-level 3, lto fat, codegen-units 1)", rustc());
    println!("compiled for: {}; at run time: {}", compiled_for(), detected());
    println!("provider: {PROVIDER}; flags: {FLAGS}");
}

const PROVIDER: &str = if cfg!(feature = "aws-lc") {
    "aws-lc-rs (feature aws-lc)"
} else {
    "RustCrypto and dalek (default features)"
};

/// Flags of the final binary that change how fast RustCrypto's Poly1305 is.
const FLAGS: &str =
    if cfg!(poly1305_backend = "soft") { "poly1305_backend=\"soft\"" } else { "none" };

fn rustc() -> String {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler).arg("--version").output();
    output.map_or_else(
        |_| "unknown rustc".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

fn compiled_for() -> &'static str {
    match () {
        () if cfg!(target_feature = "avx512f") => "x86-64-v4 or native with AVX-512",
        () if cfg!(target_feature = "avx2") => "x86-64-v3 or native with AVX2",
        () if cfg!(target_arch = "x86_64") => "x86-64 without extensions",
        () => std::env::consts::ARCH,
    }
}

#[cfg(target_arch = "x86_64")]
fn detected() -> String {
    let avx2 = is_x86_feature_detected!("avx2").then_some("AVX2");
    let avx512 = is_x86_feature_detected!("avx512f").then_some("AVX-512");
    let sha = is_x86_feature_detected!("sha").then_some("SHA-NI");
    [avx2, avx512, sha].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(not(target_arch = "x86_64"))]
fn detected() -> String {
    "not asked".to_owned()
}
