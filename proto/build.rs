//! Compiles the wire schema with a protobuf compiler written in Rust: no `protoc` on the machine is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let files = ["wire/tfplugin6.proto", "wire/go_plugin.proto"];
    for file in files {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["wire"])?;
    tonic_prost_build::configure()
        .build_transport(false)
        .bytes(".tfplugin6.DynamicValue")
        .disable_comments(["."])
        .compile_fds(descriptors)?;
    Ok(())
}
