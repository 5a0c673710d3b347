//! Writes the Rust message code of `protos/ipse/v1`.
//!
//! Takes the descriptor set that `.ci/generate.py` makes with the protobuf compiler of
//! grpcio-tools, so that neither this crate nor a build of the product needs one of its
//! own. Its dependencies stay out of the product's workspace for the same reason.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;
use prost_types::FileDescriptorSet;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(descriptors), Some(out_dir), None) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: ipse-protogen DESCRIPTOR_SET OUT_DIR".into());
    };
    let descriptors = FileDescriptorSet::decode(std::fs::read(descriptors)?.as_slice())?;
    prost_build::Config::new().out_dir(out_dir).compile_fds(descriptors)?;
    Ok(())
}
