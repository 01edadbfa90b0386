//! Makes small class files, jars and archives for tests, byte by byte where a packing tool would
//! refuse to.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;

use super::classfile::PUBLIC;

/// Assembles a class file that has members but no code: enough for everything that only reads.
pub(crate) struct ClassMaker {
    major: u16,
    access: u16,
    pool: Vec<u8>,
    slots: u16,
    this: u16,
    parent: u16,
    interfaces: Vec<u16>,
    methods: Vec<(u16, u16, u16)>,
}

impl ClassMaker {
    pub(crate) fn new(name: &str) -> Self {
        let mut maker =
            Self { major: 61, access: PUBLIC, pool: Vec::new(), slots: 1, this: 0, parent: 0, interfaces: Vec::new(), methods: Vec::new() };
        maker.this = maker.class(name);
        maker.parent = maker.class("java/lang/Object");
        maker
    }

    /// A connector, converter or the like: public, with a constructor.
    pub(crate) fn concrete(name: &str) -> Self {
        Self::new(name).method(PUBLIC, "<init>", "()V")
    }

    fn constant(&mut self, tag: u8, payload: &[u8]) -> u16 {
        self.pool.push(tag);
        self.pool.extend(payload);
        self.slots += 1;
        self.slots - 1
    }

    fn utf8(&mut self, text: &str) -> u16 {
        let mut payload = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
        payload.extend(text.as_bytes());
        self.constant(1, &payload)
    }

    fn class(&mut self, name: &str) -> u16 {
        let text = self.utf8(name);
        self.constant(7, &text.to_be_bytes())
    }

    fn pair(&mut self, tag: u8, a: u16, b: u16) -> u16 {
        self.constant(tag, &[a.to_be_bytes(), b.to_be_bytes()].concat())
    }

    pub(crate) fn major(mut self, major: u16) -> Self {
        self.major = major;
        self
    }

    pub(crate) fn access(mut self, access: u16) -> Self {
        self.access = access;
        self
    }

    pub(crate) fn extends(mut self, name: &str) -> Self {
        self.parent = self.class(name);
        self
    }

    pub(crate) fn implements(mut self, name: &str) -> Self {
        let index = self.class(name);
        self.interfaces.push(index);
        self
    }

    pub(crate) fn method(mut self, access: u16, name: &str, descriptor: &str) -> Self {
        let (name, descriptor) = (self.utf8(name), self.utf8(descriptor));
        self.methods.push((access, name, descriptor));
        self
    }

    pub(crate) fn long_constant(mut self, value: i64) -> Self {
        self.constant(5, &value.to_be_bytes());
        self.slots += 1;
        self
    }

    pub(crate) fn refers_to_class(mut self, name: &str) -> Self {
        self.class(name);
        self
    }

    pub(crate) fn refers_to(mut self, owner: &str, name: &str, descriptor: &str) -> Self {
        let owner = self.class(owner);
        let (name, descriptor) = (self.utf8(name), self.utf8(descriptor));
        let member = self.pair(12, name, descriptor);
        self.pair(10, owner, member);
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        let mut out = vec![0xCA, 0xFE, 0xBA, 0xBE, 0, 0];
        let word = |out: &mut Vec<u8>, n: u16| out.extend(n.to_be_bytes());
        word(&mut out, self.major);
        word(&mut out, self.slots);
        out.extend(&self.pool);
        for n in [self.access, self.this, self.parent, u16::try_from(self.interfaces.len()).unwrap()] {
            word(&mut out, n);
        }
        self.interfaces.iter().for_each(|i| word(&mut out, *i));
        word(&mut out, 0);
        word(&mut out, u16::try_from(self.methods.len()).unwrap());
        for (access, name, descriptor) in &self.methods {
            for n in [*access, *name, *descriptor, 0] {
                word(&mut out, n);
            }
        }
        word(&mut out, 0);
        out
    }
}

/// A ZIP of these files; names are taken as they are.
pub(crate) fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A tar.gz of these files; names are written past the checks of the `tar` crate.
pub(crate) fn tar_gz_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    gzip(&builder.into_inner().unwrap())
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A jar with one source connector of this class name (internal form).
pub(crate) fn connector_jar(class: &str) -> Vec<u8> {
    let bytes = ClassMaker::concrete(class).extends("org/apache/kafka/connect/source/SourceConnector").bytes();
    zip_of(&[(&format!("{class}.class"), &bytes)])
}
