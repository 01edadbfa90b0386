//! A reader of Java class files: names, flags, hierarchy, members, and what the constant pool
//! refers to. Follows the Java Virtual Machine Specification, chapter 4 (SE 21), as far as that
//! needs; code and attributes are passed over. Input is hostile: every read is bounded, every index
//! checked, and memory is at most a small multiple of the file.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;

/// `ACC_PUBLIC`. A protected nested class is public in the access flags of its own file.
pub const PUBLIC: u16 = 0x0001;
/// `ACC_PRIVATE`.
pub const PRIVATE: u16 = 0x0002;
/// `ACC_INTERFACE`.
pub const INTERFACE: u16 = 0x0200;
/// `ACC_ABSTRACT`.
pub const ABSTRACT: u16 = 0x0400;
/// `ACC_MODULE`: a `module-info`, not a class.
pub const MODULE: u16 = 0x8000;

/// Why bytes are not a class file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClassFault {
    /// The file ends too early.
    #[error("the class file ends at byte {0}, within an item")]
    Truncated(usize),
    /// Does not begin with `CAFEBABE`.
    #[error("not a class file")]
    Magic,
    /// A constant of a kind that the specification does not know.
    #[error("unknown constant tag {0}")]
    Tag(u8),
    /// A reference to a constant that is not there or is of another kind.
    #[error("constant {0} is missing or of the wrong kind")]
    Constant(u16),
    /// The same interface twice, which the JVM refuses as well.
    #[error("an interface is listed twice")]
    TwiceTheInterface,
    /// One long name used over and over: reading it each time would cost many times the file.
    #[error("the names in the class file add up to many times its size")]
    Excess,
}

/// Longer names and descriptors are read as [`UNREADABLE`]. Compilers' longest are some hundred
/// bytes; the format allows 65,535, and a file may use one of them in each of its members.
const NAME_BYTES: usize = 1024;

/// Stands for a name that is too long or no UTF-8. Modified UTF-8 (4.4.7) differs from UTF-8 only
/// for NUL and beyond the basic plane, which names of Kafka members do not have.
const UNREADABLE: &str = "\u{fffd}";

/// Names may add up to this many times the file before it is refused.
const TEXT_FACTOR: usize = 16;

/// One field or method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// Access flags.
    pub access: u16,
    /// Simple name; `<init>` for constructors.
    pub name: Cow<'a, str>,
    /// Type in descriptor form, as `(J)V`.
    pub descriptor: Cow<'a, str>,
}

/// What a class's constant pool points to outside of it. Names are in internal form (`java/lang/X`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference<'a> {
    /// A class by name; arrays are reduced to their element class.
    Class(Cow<'a, str>),
    /// A field or method; `descriptor` of a method begins with `(`.
    Member {
        /// The class that the code names; the member may be in a superclass of it.
        owner: Cow<'a, str>,
        /// Simple name.
        name: Cow<'a, str>,
        /// Descriptor.
        descriptor: Cow<'a, str>,
    },
}

/// A parsed class file.
#[derive(Debug, Clone)]
pub struct ClassFile<'a> {
    /// Class-file major version: 52 is Java 8, 61 is Java 17.
    pub major: u16,
    /// Access flags.
    pub access: u16,
    /// Name in internal form.
    pub name: Cow<'a, str>,
    /// None for `java/lang/Object` and modules.
    pub super_class: Option<Cow<'a, str>>,
    /// Direct interfaces.
    pub interfaces: Vec<Cow<'a, str>>,
    /// Declared fields.
    pub fields: Vec<Member<'a>>,
    /// Declared methods and constructors.
    pub methods: Vec<Member<'a>>,
    pool: Pool<'a>,
}

/// Payload bytes of a constant by tag (table 4.4-A); 0 marks a tag that does not exist. Utf8 (1) has
/// a length of its own. Long (5) and Double (6) take two slots.
const PAYLOAD: [u8; 21] = [
    0, 0, 0, 4, 4, 8, 8, 2, 2, 4, 4, 4, 4, 0, 0, 3, 2, 4, 4, 2, 2,
];

#[derive(Debug, Clone, Copy)]
enum Constant<'a> {
    /// The unusable slot 0, the second slot of a long or double, and kinds that nobody asks for.
    Other,
    Utf8(&'a [u8]),
    Class(u16),
    NameAndType(u16, u16),
    Member(u16, u16),
}

#[derive(Debug, Clone)]
struct Pool<'a> {
    slots: Vec<Constant<'a>>,
    /// Bytes of names that may still be read.
    text_left: Cell<usize>,
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ClassFault> {
        let end = self
            .at
            .checked_add(count)
            .ok_or(ClassFault::Truncated(self.at))?;
        let slice = self
            .bytes
            .get(self.at..end)
            .ok_or(ClassFault::Truncated(self.at))?;
        self.at = end;
        Ok(slice)
    }

    fn u8(&mut self) -> Result<u8, ClassFault> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, ClassFault> {
        let b = self.take(2)?;
        Ok(u16::from_be_bytes([b[0], b[1]]))
    }

    fn u32(&mut self) -> Result<u32, ClassFault> {
        let b = self.take(4)?;
        Ok(u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    fn skip_attributes(&mut self) -> Result<(), ClassFault> {
        for _ in 0..self.u16()? {
            self.take(2)?;
            let length = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
            self.take(length)?;
        }
        Ok(())
    }
}

impl<'a> Pool<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, ClassFault> {
        let count = cursor.u16()?;
        let mut slots = Vec::with_capacity(usize::from(count).min(cursor.bytes.len() / 3 + 1));
        slots.push(Constant::Other);
        while slots.len() < usize::from(count) {
            let tag = cursor.u8()?;
            if tag == 1 {
                let length = cursor.u16()?;
                slots.push(Constant::Utf8(cursor.take(usize::from(length))?));
                continue;
            }
            let size = PAYLOAD
                .get(usize::from(tag))
                .copied()
                .filter(|s| *s > 0)
                .ok_or(ClassFault::Tag(tag))?;
            let payload = cursor.take(usize::from(size))?;
            let pair = |at: usize| u16::from_be_bytes([payload[at], payload[at + 1]]);
            slots.push(match tag {
                7 => Constant::Class(pair(0)),
                9..=11 => Constant::Member(pair(0), pair(2)),
                12 => Constant::NameAndType(pair(0), pair(2)),
                _ => Constant::Other,
            });
            if matches!(tag, 5 | 6) {
                slots.push(Constant::Other);
            }
        }
        let text_left = cursor.bytes.len().saturating_mul(TEXT_FACTOR);
        Ok(Self {
            slots,
            text_left: Cell::new(text_left),
        })
    }

    fn get(&self, index: u16) -> Result<Constant<'a>, ClassFault> {
        self.slots
            .get(usize::from(index))
            .copied()
            .ok_or(ClassFault::Constant(index))
    }

    fn text(&self, index: u16) -> Result<Cow<'a, str>, ClassFault> {
        let Constant::Utf8(bytes) = self.get(index)? else {
            return Err(ClassFault::Constant(index));
        };
        if bytes.len() > NAME_BYTES {
            return Ok(Cow::Borrowed(UNREADABLE));
        }
        let left = self.text_left.get().checked_sub(bytes.len());
        self.text_left.set(left.ok_or(ClassFault::Excess)?);
        Ok(Cow::Borrowed(
            std::str::from_utf8(bytes).unwrap_or(UNREADABLE),
        ))
    }

    fn class(&self, index: u16) -> Result<Cow<'a, str>, ClassFault> {
        match self.get(index)? {
            Constant::Class(name) => self.text(name),
            _ => Err(ClassFault::Constant(index)),
        }
    }

    fn name_and_type(&self, index: u16) -> Result<(Cow<'a, str>, Cow<'a, str>), ClassFault> {
        match self.get(index)? {
            Constant::NameAndType(name, descriptor) => {
                Ok((self.text(name)?, self.text(descriptor)?))
            }
            _ => Err(ClassFault::Constant(index)),
        }
    }
}

/// Reads one class file.
///
/// # Errors
/// [`ClassFault`] for anything that is not a complete class file up to its methods.
pub fn parse(bytes: &[u8]) -> Result<ClassFile<'_>, ClassFault> {
    let mut cursor = Cursor { bytes, at: 0 };
    if cursor.u32()? != 0xCAFE_BABE {
        return Err(ClassFault::Magic);
    }
    cursor.take(2)?;
    let major = cursor.u16()?;
    let pool = Pool::read(&mut cursor)?;
    let access = cursor.u16()?;
    let name = pool.class(cursor.u16()?)?;
    let super_class = match cursor.u16()? {
        0 => None,
        index => Some(pool.class(index)?),
    };
    let (mut interfaces, mut seen) = (Vec::new(), HashSet::new());
    for _ in 0..cursor.u16()? {
        let interface = pool.class(cursor.u16()?)?;
        if !seen.insert(interface.clone()) {
            return Err(ClassFault::TwiceTheInterface);
        }
        interfaces.push(interface);
    }
    let fields = members(&mut cursor, &pool)?;
    let methods = members(&mut cursor, &pool)?;
    Ok(ClassFile {
        major,
        access,
        name,
        super_class,
        interfaces,
        fields,
        methods,
        pool,
    })
}

fn members<'a>(cursor: &mut Cursor<'a>, pool: &Pool<'a>) -> Result<Vec<Member<'a>>, ClassFault> {
    let mut members = Vec::new();
    for _ in 0..cursor.u16()? {
        let access = cursor.u16()?;
        let name = pool.text(cursor.u16()?)?;
        let descriptor = pool.text(cursor.u16()?)?;
        cursor.skip_attributes()?;
        members.push(Member {
            access,
            name,
            descriptor,
        });
    }
    Ok(members)
}

impl<'a> ClassFile<'a> {
    /// What the constant pool refers to; constants that make no sense are left out (the verifier of
    /// the JVM would refuse the class only when they are used).
    pub fn references(&self) -> impl Iterator<Item = Reference<'a>> + '_ {
        self.pool
            .slots
            .iter()
            .filter_map(|constant| match *constant {
                Constant::Class(name) => self
                    .pool
                    .text(name)
                    .ok()
                    .and_then(element_class)
                    .map(Reference::Class),
                Constant::Member(class, member) => {
                    let owner = element_class(self.pool.class(class).ok()?)?;
                    let (name, descriptor) = self.pool.name_and_type(member).ok()?;
                    Some(Reference::Member {
                        owner,
                        name,
                        descriptor,
                    })
                }
                _ => None,
            })
    }

    /// Whether Connect can make one of these: public, not abstract, with a public constructor that
    /// takes nothing.
    pub fn is_instantiable(&self) -> bool {
        self.access & PUBLIC != 0
            && self.access & (ABSTRACT | INTERFACE | MODULE) == 0
            && self
                .methods
                .iter()
                .any(|m| m.access & PUBLIC != 0 && m.name == "<init>" && m.descriptor == "()V")
    }
}

/// `[[Lorg/X;` → `org/X`; a primitive array has no class.
fn element_class(name: Cow<'_, str>) -> Option<Cow<'_, str>> {
    if !name.starts_with('[') {
        return Some(name);
    }
    let element = name
        .trim_start_matches('[')
        .strip_prefix('L')?
        .strip_suffix(';')?
        .to_owned();
    Some(Cow::Owned(element))
}

#[cfg(test)]
mod tests {
    use super::super::testing::ClassMaker;
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Vec<u8> {
        ClassMaker::new("org/acme/Sink")
            .extends("org/acme/Base")
            .implements("org/acme/Mark")
            .method(PUBLIC, "<init>", "()V")
            .method(PUBLIC, "poll", "(J)V")
            .long_constant(1 << 40)
            .refers_to("org/acme/Other", "call", "(I)Ljava/lang/String;")
            .refers_to_class("[[Lorg/acme/Row;")
            .refers_to_class("[[I")
            .bytes()
    }

    #[test]
    fn a_class_is_read_with_its_hierarchy_members_and_references() {
        let bytes = sample();
        let class = parse(&bytes).unwrap();
        assert_eq!((class.major, class.name.as_ref()), (61, "org/acme/Sink"));
        assert_eq!(class.super_class.as_deref(), Some("org/acme/Base"));
        assert_eq!(class.interfaces, ["org/acme/Mark"]);
        assert_eq!(class.methods[1].descriptor, "(J)V");
        assert!(class.is_instantiable());
        let references: Vec<_> = class.references().collect();
        assert!(references.contains(&Reference::Class("org/acme/Row".into())));
        assert!(references.contains(&Reference::Member {
            owner: "org/acme/Other".into(),
            name: "call".into(),
            descriptor: "(I)Ljava/lang/String;".into()
        }));
    }

    #[test]
    fn abstract_interface_or_hidden_classes_and_constructors_cannot_be_instantiated() {
        let table = [
            (PUBLIC, PUBLIC, true),
            (0, PUBLIC, false),
            (PUBLIC, 0, false),
            (PUBLIC | ABSTRACT, PUBLIC, false),
            (PUBLIC | INTERFACE | ABSTRACT, PUBLIC, false),
        ];
        for (class_access, constructor_access, expected) in table {
            let bytes = ClassMaker::new("A")
                .access(class_access)
                .method(constructor_access, "<init>", "()V")
                .bytes();
            assert_eq!(
                parse(&bytes).unwrap().is_instantiable(),
                expected,
                "{class_access:#x} {constructor_access:#x}"
            );
        }
        let bytes = ClassMaker::new("A")
            .method(PUBLIC, "<init>", "(I)V")
            .bytes();
        assert!(!parse(&bytes).unwrap().is_instantiable());
    }

    #[test]
    fn every_cut_of_a_class_file_is_an_error_until_its_methods_are_read() {
        let bytes = sample();
        // The last two bytes count the class's attributes, which are not read.
        for end in 0..bytes.len() - 2 {
            assert!(
                matches!(parse(&bytes[..end]), Err(ClassFault::Truncated(_))),
                "{end}"
            );
        }
        assert_eq!(parse(b"not a class at all").unwrap_err(), ClassFault::Magic);
    }

    #[test]
    fn a_class_that_repeats_a_long_name_is_refused_before_it_costs_much() {
        let long = "x".repeat(1000);
        let many =
            |count| (0..count).fold(ClassMaker::new("A"), |class, _| class.same_method(&long));
        parse(&many(1).bytes()).unwrap();
        assert_eq!(
            parse(&many(60_000).bytes()).unwrap_err(),
            ClassFault::Excess
        );
        let twice = ClassMaker::new("A").implements("B").implements("B").bytes();
        assert_eq!(parse(&twice).unwrap_err(), ClassFault::TwiceTheInterface);
        let huge = ClassMaker::new("A")
            .method(PUBLIC, &"y".repeat(2000), "()V")
            .bytes();
        assert_eq!(parse(&huge).unwrap().methods[0].name, UNREADABLE);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(tail in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut bytes = vec![0xCA, 0xFE, 0xBA, 0xBE];
            bytes.extend(tail);
            if let Ok(class) = parse(&bytes) { let _ = class.references().count(); }
        }

        #[test]
        fn a_class_with_some_bytes_changed_never_panics(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)) {
            let mut bytes = sample();
            for (index, value) in changes { let at = index.index(bytes.len()); bytes[at] = value; }
            if let Ok(class) = parse(&bytes) { let _ = (class.references().count(), class.is_instantiable()); }
        }
    }
}
