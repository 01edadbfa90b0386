//! Archives that nobody should send: each is refused with its own words, and leaves nothing behind.

use std::io::Write;

use proptest::prelude::*;
use zip::write::SimpleFileOptions;

use super::error::EntryFault;
use super::testing::{ClassMaker, TestStore, connector_jar, gzip, patched, tar_gz_of, zip_of};
use super::{Limits, PluginError};

fn refused_with(limits: Limits, bytes: &[u8]) -> PluginError {
    let store = TestStore::new(limits);
    let error = store.register(bytes, &[]).unwrap_err();
    assert_eq!(store.contents(), Vec::<String>::new(), "{error}");
    assert!(
        error.hint().is_some() && error.field() == Some("source"),
        "{error}"
    );
    error
}

fn refused(bytes: &[u8]) -> PluginError {
    refused_with(Limits::default(), bytes)
}

fn fault_of(error: PluginError) -> EntryFault {
    match error {
        PluginError::Entry { fault, .. } => fault,
        other => panic!("{other}: {:?}", other.detail()),
    }
}

fn jar() -> Vec<u8> {
    connector_jar("org/acme/AcmeSource")
}

#[test]
fn what_is_no_archive_is_named_by_its_first_bytes() {
    let text = |bytes: &[u8]| refused(bytes).to_string();
    assert_eq!(
        text(b"hello, world"),
        "this is not an archive: the first bytes are 68 65 6c 6c 6f 2c 20 77 \"hello, w\""
    );
    assert!(text(b"\n <!DOCTYPE html><html>").ends_with("(an HTML page)"));
    assert!(refused(b"<html>").hint().unwrap().contains("web page"));
    assert!(text(b"7z\xbc\xaf\x27\x1c....").ends_with("(a 7-Zip archive)"));
    assert!(text(&ClassMaker::new("A").bytes()).ends_with("(a single Java class)"));
    assert!(text(b"x").contains("78 \"x\""));
    assert!(matches!(refused(&gzip(b"just text")), PluginError::NotATar));
    assert!(matches!(refused(&gzip(&jar())), PluginError::NotATar));
}

#[test]
fn an_archive_that_is_cut_off_anywhere_is_refused() {
    let zip = zip_of(&[("p/a.jar", &jar())]);
    let tar = tar_gz_of(&[("p/a.jar", &jar())]);
    for bytes in [&zip, &tar] {
        for end in [4, 20, bytes.len() / 2, bytes.len() - 12] {
            let error = refused(&bytes[..end]);
            assert!(
                matches!(error, PluginError::Damaged { .. } | PluginError::NotATar),
                "{end}: {error}"
            );
        }
    }
}

#[test]
fn a_name_that_leaves_the_folder_is_refused_in_zip_and_tar() {
    let zip = patched(zip_of(&[("AA/x.jar", &jar())]), b"AA/x.jar", b"../x.jar");
    assert_eq!(
        refused(&zip).to_string(),
        "archive entry `../x.jar` leaves the folder"
    );
    let tar = tar_gz_of(&[("a.jar", &jar()), ("../x.jar", &jar())]);
    assert_eq!(
        refused(&tar).to_string(),
        "archive entry `../x.jar` leaves the folder"
    );
    for (name, fault) in [
        (b"/A/x.jar", EntryFault::Absolute),
        (b"A\\Ax.jar", EntryFault::Backslash),
        (b"C:/x.jar", EntryFault::Drive),
    ] {
        assert_eq!(
            fault_of(refused(&patched(
                zip_of(&[("AA/x.jar", &jar())]),
                b"AA/x.jar",
                name
            ))),
            fault
        );
    }
    // Also when the file would not be unpacked, and when the archive is a jar itself.
    assert_eq!(
        fault_of(refused(&tar_gz_of(&[
            ("a.jar", &jar()),
            ("../passwd", b"x")
        ]))),
        EntryFault::Leaves
    );
    let fat = zip_of(&[
        ("org/acme/A.class", &ClassMaker::new("org/acme/A").bytes()),
        ("AA/x.class", b""),
    ]);
    assert_eq!(
        fault_of(refused(&patched(fat, b"AA/x.class", b"../x.class"))),
        EntryFault::Leaves
    );
}

#[test]
fn names_that_collide_are_refused() {
    let twice = patched(
        zip_of(&[("a.jar", &jar()), ("b.jar", &jar())]),
        b"b.jar",
        b"a.jar",
    );
    assert_eq!(fault_of(refused(&twice)), EntryFault::Duplicate);
    assert_eq!(
        fault_of(refused(&tar_gz_of(&[("a.jar", &jar()), ("a.jar", &jar())]))),
        EntryFault::Duplicate
    );
    let case = zip_of(&[("lib/a.jar", &jar()), ("lib/A.jar", &jar())]);
    assert_eq!(
        refused(&case).to_string(),
        "archive entry `lib/A.jar` differs from `lib/a.jar` only in upper and lower case"
    );
}

#[test]
fn links_and_devices_are_refused() {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.add_symlink("a.jar", "/etc/passwd", SimpleFileOptions::default())
        .unwrap();
    assert_eq!(
        fault_of(refused(&zip.finish().unwrap().into_inner())),
        EntryFault::Link
    );
    for (kind, fault) in [
        (tar::EntryType::Symlink, EntryFault::Link),
        (tar::EntryType::Link, EntryFault::Link),
        (tar::EntryType::Char, EntryFault::Special),
        (tar::EntryType::Fifo, EntryFault::Special),
        (tar::EntryType::GNUSparse, EntryFault::Special),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_path("a.jar").unwrap();
        header.set_link_name("/etc/passwd").unwrap();
        header.set_cksum();
        let mut builder = tar::Builder::new(Vec::new());
        builder.append(&header, std::io::empty()).unwrap();
        assert_eq!(
            fault_of(refused(&gzip(&builder.into_inner().unwrap()))),
            fault,
            "{kind:?}"
        );
    }
}

#[test]
fn encrypted_entries_and_odd_compression_are_refused() {
    let mut zip = zip_of(&[("a.jar", &jar())]);
    let central = zip.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    zip[central + 8] |= 1;
    assert_eq!(fault_of(refused(&zip)), EntryFault::Encrypted);
    zip[central + 8] &= !1;
    zip[central + 10] = 12;
    assert_eq!(fault_of(refused(&zip)), EntryFault::Method);
}

#[test]
fn entries_that_share_bytes_are_refused() {
    let mut zip = zip_of(&[("a.jar", &jar()), ("b.jar", &jar())]);
    // The second entry of the directory points to the first one's bytes.
    let central = zip.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    zip[central + 42..central + 46].copy_from_slice(&0_u32.to_le_bytes());
    assert!(matches!(refused(&zip), PluginError::Overlap));
}

#[test]
fn a_bomb_is_stopped_while_it_inflates() {
    let zeros = vec![0_u8; 3 << 20];
    let zip = zip_of(&[("a.jar", &zeros)]);
    assert_eq!(
        refused(&zip).to_string(),
        "archive entry `a.jar` inflates to more than 100 times its compressed size"
    );
    assert_eq!(
        fault_of(refused(&tar_gz_of(&[("a.jar", &zeros)]))),
        EntryFault::Ratio(100)
    );
    // The directory may lie about the size: what comes out is counted, or the lie is found.
    let lying = patched(zip, &(3_u32 << 20).to_le_bytes(), &100_u32.to_le_bytes());
    assert!(matches!(
        refused(&lying),
        PluginError::Damaged { .. }
            | PluginError::Entry {
                fault: EntryFault::Ratio(_),
                ..
            }
    ));
    let small = Limits {
        expanded_bytes: 100,
        ..Limits::default()
    };
    let error = refused_with(small.clone(), &zip_of(&[("a.jar", &jar())]));
    assert_eq!(
        error.to_string(),
        "the archive inflates to more than 100 bytes"
    );
    assert!(matches!(
        refused_with(small, &tar_gz_of(&[("a.jar", &jar())])),
        PluginError::Expands { limit: 100 }
    ));
    // A jar that is small in the archive and inflates within.
    let inner = zip_of(&[("A.class", &zeros)]);
    let limits = Limits {
        expanded_bytes: 1 << 20,
        ..Limits::default()
    };
    assert!(matches!(
        refused_with(limits.clone(), &tar_gz_of(&[("a.jar", &inner)])),
        PluginError::Expands { .. }
    ));
}

#[test]
fn too_many_entries_are_refused_in_the_archive_and_in_a_jar() {
    let limits = Limits {
        entries: 2,
        jar_entries: 3,
        ..Limits::default()
    };
    let files: [(&str, &[u8]); 3] = [("a.jar", b"1"), ("b", b"2"), ("c", b"3")];
    assert!(matches!(
        refused_with(limits.clone(), &zip_of(&files)),
        PluginError::TooManyEntries {
            limit: 2,
            jar: None
        }
    ));
    assert!(matches!(
        refused_with(limits.clone(), &tar_gz_of(&files)),
        PluginError::TooManyEntries {
            limit: 2,
            jar: None
        }
    ));
    let inner = zip_of(&[("a", b""), ("b", b""), ("c", b""), ("d", b"")]);
    let error = refused_with(limits, &zip_of(&[("a.jar", &inner)]));
    assert_eq!(
        error.to_string(),
        "there are more than 3 entries in `a.jar`"
    );
}

#[test]
fn jars_with_absurdly_many_classes_or_references_are_refused() {
    let limits = Limits {
        classes: 1,
        ..Limits::default()
    };
    let two = zip_of(&[
        ("A.class", &ClassMaker::new("A").bytes()),
        ("B.class", &ClassMaker::new("B").bytes()),
    ]);
    assert!(matches!(
        refused_with(limits, &two),
        PluginError::TooManyClasses { limit: 1 }
    ));
    let limits = Limits {
        reference_bytes: 10,
        ..Limits::default()
    };
    assert!(matches!(
        refused_with(limits, &jar()),
        PluginError::TooManyReferences { limit: 10 }
    ));
}

#[test]
fn a_long_chain_of_classes_is_walked_only_so_far() {
    let name = |n: u32| format!("C{n}");
    let classes: Vec<(String, Vec<u8>)> = (0..20_000)
        .map(|n| {
            (
                format!("C{n}.class"),
                ClassMaker::concrete(&name(n))
                    .extends(&name(n + 1))
                    .refers_to(&name(n), "gone", "()V")
                    .bytes(),
            )
        })
        .collect();
    let files: Vec<(&str, &[u8])> = classes
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    assert!(matches!(
        refused(&zip_of(&files)),
        PluginError::NoPluginClass {
            jars: 1,
            classes: 20_000
        }
    ));
}

#[test]
fn an_archive_without_jars_or_without_a_connector_class_says_what_is_in_it() {
    assert!(matches!(
        refused(&zip_of(&[("README.md", b"x")])),
        PluginError::NoJar
    ));
    assert!(matches!(refused(&zip_of(&[])), PluginError::NoJar));
    assert!(matches!(refused(&tar_gz_of(&[])), PluginError::NoJar));
    let library = zip_of(&[(
        "org/acme/Lib.class",
        &ClassMaker::concrete("org/acme/Lib").bytes(),
    )]);
    let error = refused(&zip_of(&[("lib.jar", &library)]));
    assert_eq!(error.to_string(), "no connector class in it");
    assert!(
        error
            .detail()
            .unwrap()
            .starts_with("1 jar with 1 class hold")
    );
    let error = refused(&zip_of(&[("p/a.jar", &jar()), ("p/b.jar", b"no jar")]));
    assert_eq!(
        error.to_string(),
        "`b.jar` in the archive is not a readable jar"
    );
}

#[test]
fn long_names_of_tar_are_read_with_a_bound() {
    let long = format!("{}/a.jar", "d".repeat(150));
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(jar().len() as u64);
    builder
        .append_data(&mut header, &long, jar().as_slice())
        .unwrap();
    let store = TestStore::new(Limits::default());
    let inspection = store
        .register(&gzip(&builder.into_inner().unwrap()), &[])
        .unwrap();
    assert_eq!(store.jars(&inspection), ["a.jar", "runnel-manifest.jar"]);

    let mut tar = Vec::new();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(1 << 20);
    header.set_cksum();
    tar.write_all(header.as_bytes()).unwrap();
    tar.resize((1 << 20) + 2048, b'x');
    assert!(matches!(refused(&gzip(&tar)), PluginError::Damaged { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn an_archive_with_some_bytes_changed_is_taken_or_refused_and_leaves_nothing_half_done(
        zipped in any::<bool>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let files: [(&str, &[u8]); 2] = [("p/a.jar", &jar()), ("p/b.jar", &zip_of(&[("x", b"y")]))];
        // The tar is changed before it is compressed, or the checksum of gzip would find it all.
        let mut bytes = if zipped { zip_of(&files) } else { plain_tar(&files) };
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        let bytes = if zipped { bytes } else { gzip(&bytes) };
        let store = TestStore::new(Limits::default());
        match store.register(&bytes, &[]) {
            Err(_) => prop_assert_eq!(store.contents(), Vec::<String>::new()),
            Ok(inspection) => prop_assert!(store.files.contains(&inspection.sha256)),
        }
    }
}

fn plain_tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let packed = tar_gz_of(files);
    let mut plain = Vec::new();
    std::io::Read::read_to_end(
        &mut flate2::read::GzDecoder::new(packed.as_slice()),
        &mut plain,
    )
    .unwrap();
    plain
}
