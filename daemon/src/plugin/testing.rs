//! Makes small class files, jars and archives for tests, byte by byte where a packing tool would
//! refuse to.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;

use super::classfile::PUBLIC;
use super::{Inspection, Limits, PluginError, PluginFiles, RuntimeIndex};

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
        let mut maker = Self {
            major: 61,
            access: PUBLIC,
            pool: Vec::new(),
            slots: 1,
            this: 0,
            parent: 0,
            interfaces: Vec::new(),
            methods: Vec::new(),
        };
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

    /// A method whose name and descriptor are constants that the class has already, once they do.
    pub(crate) fn same_method(mut self, name: &str) -> Self {
        match self.methods.last().copied() {
            Some(last) => {
                self.methods.push(last);
                self
            }
            None => self.method(PUBLIC, name, name),
        }
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
        for n in [
            self.access,
            self.this,
            self.parent,
            u16::try_from(self.interfaces.len()).unwrap(),
        ] {
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
        writer
            .start_file(*name, SimpleFileOptions::default())
            .unwrap();
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
    let bytes = ClassMaker::concrete(class)
        .extends("org/apache/kafka/connect/source/SourceConnector")
        .bytes();
    zip_of(&[(&format!("{class}.class"), &bytes)])
}

/// Changes every occurrence of some bytes to others of the same length: how a test gets names and
/// numbers into an archive that a packing tool would not write.
pub(crate) fn patched(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> = bytes
        .windows(from.len())
        .enumerate()
        .filter(|(_, window)| *window == from)
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty(), "nothing to patch");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

/// A store in a temporary folder, which goes with it although what is in it is read-only.
pub(crate) struct TestStore {
    folder: tempfile::TempDir,
    pub(crate) files: PluginFiles,
}

impl Drop for TestStore {
    fn drop(&mut self) {
        super::unpack::remove_tree(self.folder.path()).unwrap();
    }
}

impl TestStore {
    pub(crate) fn new(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = PluginFiles::open(folder.path().join("plugins"), limits).unwrap();
        Self { folder, files }
    }

    pub(crate) fn register(
        &self,
        bytes: &[u8],
        runtimes: &[&RuntimeIndex],
    ) -> Result<Inspection, PluginError> {
        let mut receiver = self.files.receiver().unwrap();
        receiver.write(bytes).unwrap();
        let upload = receiver.finish(None)?;
        self.files.register(&upload, runtimes)
    }

    /// Everything in the store, relative to it.
    pub(crate) fn contents(&self) -> Vec<String> {
        let root = self.folder.path();
        let mut found: Vec<String> = super::unpack::tree(root)
            .unwrap()
            .into_iter()
            .map(|(path, _)| {
                path.strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned()
            })
            .filter(|path| !path.is_empty() && path != "plugins")
            .collect();
        found.sort();
        found
    }

    /// The jars of a plugin, relative to its folder.
    pub(crate) fn jars(&self, inspection: &Inspection) -> Vec<String> {
        super::scan::jars_in(&self.files.jars_folder(&inspection.sha256)).unwrap()
    }
}
