//! How long a provider takes to be ready. Printed, not judged: the budget (5 ms) is for a release build.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::workspace::echo_binary;

#[test]
fn the_time_to_the_handshake_line_is_printed() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let pem = parameters.self_signed(&key).expect("a certificate").pem();
    let dir = tempfile::tempdir().expect("a folder");
    let mut times: Vec<f64> = (0..20)
        .map(|_| {
            let start = Instant::now();
            let mut child = Command::new(echo_binary())
                .env(
                    "TF_PLUGIN_MAGIC_COOKIE",
                    "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2",
                )
                .env("PLUGIN_CLIENT_CERT", &pem)
                .env("PLUGIN_UNIX_SOCKET_DIR", dir.path())
                .stdout(Stdio::piped())
                .spawn()
                .expect("the example");
            let mut line = String::new();
            BufReader::new(child.stdout.take().expect("piped"))
                .read_line(&mut line)
                .expect("a line");
            let elapsed = start.elapsed().as_secs_f64() * 1000.0;
            assert!(line.starts_with("1|6|unix|"), "{line}");
            child.kill().expect("alive");
            child.wait().expect("a child");
            elapsed
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!(
        "exec to handshake line: median {:.1} ms, slowest {:.1} ms",
        times[10], times[19]
    );
}
