//! Properties of JDBC drivers, as keys that connectors pass through and as parts of JDBC URLs.

use super::Value;
use runnel_api::{ErrorCode, Problem};

/// Prefixes behind which Debezium's connectors, the JDBC sinks and Hibernate hand a key on to the
/// driver.
const PREFIXES: [&str; 5] = [
    "hibernate.connection.",
    "connection.",
    "database.",
    "driver.",
    "jdbc.",
];

/// What a property does to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// It names a class that the driver makes and calls.
    Class,
    /// The driver reads Java objects out of columns.
    Objects,
    /// It lets the database server ask for files of the worker's host.
    SendFiles,
    /// It names a file that is read or written.
    File,
    /// It leads to a naming service, or to a login module of the host.
    Naming,
    /// It takes credentials from the environment or from a module on the class path.
    Credentials,
}

/// A property; drivers do not mind capitals, so names are in small letters.
struct Property {
    name: &'static str,
    effect: Effect,
    /// Where it was first told of, and which driver has it.
    known_as: &'static str,
    /// Values that do no harm; one that ends with a full stop is a package.
    harmless: &'static [&'static str],
}

const fn property(name: &'static str, effect: Effect, known_as: &'static str) -> Property {
    Property {
        name,
        effect,
        known_as,
        harmless: &[],
    }
}

const fn except(
    name: &'static str,
    effect: Effect,
    known_as: &'static str,
    harmless: &'static [&'static str],
) -> Property {
    Property {
        name,
        effect,
        known_as,
        harmless,
    }
}

const PG: &str = "pgjdbc, CVE-2022-21724";
const MYSQL: &str = "MySQL Connector/J, CVE-2017-3523 and its kin";
const LOCAL: &str = "LOAD DATA LOCAL: a server, or who speaks in its place, asks for any file";

/// Properties of pgjdbc 42, MySQL Connector/J 5 to 9, MariaDB Connector/J 2 and 3, mssql-jdbc 12,
/// Oracle's thin driver, Db2's and Redshift's.
const PROPERTIES: [Property; 47] = [
    property("socketfactory", Effect::Class, PG),
    property("socketfactoryarg", Effect::Class, PG),
    except(
        "sslfactory",
        Effect::Class,
        PG,
        &[
            "org.postgresql.ssl.DefaultJavaSSLFactory",
            "org.postgresql.ssl.LibPQFactory",
            "org.postgresql.ssl.NonValidatingFactory",
            "org.postgresql.ssl.jdbc4.LibPQFactory",
        ],
    ),
    property("sslfactoryarg", Effect::Class, PG),
    property("sslhostnameverifier", Effect::Class, PG),
    property("sslpasswordcallback", Effect::Class, PG),
    property("authenticationpluginclassname", Effect::Class, PG),
    except("xmlfactoryfactory", Effect::Class, PG, &["LEGACY_INSECURE"]),
    property("jaasapplicationname", Effect::Naming, "pgjdbc"),
    property("loggerfile", Effect::File, "pgjdbc, CVE-2022-26520"),
    property("autodeserialize", Effect::Objects, MYSQL),
    property("allowloadlocalinfile", Effect::SendFiles, LOCAL),
    property("allowloadlocalinfileinpath", Effect::SendFiles, LOCAL),
    property("allowlocalinfile", Effect::SendFiles, LOCAL),
    property("allowurlinlocalinfile", Effect::SendFiles, LOCAL),
    property("queryinterceptors", Effect::Class, MYSQL),
    property("statementinterceptors", Effect::Class, MYSQL),
    property("connectionlifecycleinterceptors", Effect::Class, MYSQL),
    property("exceptioninterceptors", Effect::Class, MYSQL),
    property("propertiestransform", Effect::Class, MYSQL),
    property("clientinfoprovider", Effect::Class, MYSQL),
    property("profilereventhandler", Effect::Class, MYSQL),
    except(
        "logger",
        Effect::Class,
        MYSQL,
        &[
            "com.mysql.cj.log.",
            "Jdk14Logger",
            "NullLogger",
            "Slf4JLogger",
            "StandardLogger",
        ],
    ),
    property("authenticationplugins", Effect::Class, MYSQL),
    except(
        "defaultauthenticationplugin",
        Effect::Class,
        MYSQL,
        &[
            "caching_sha2_password",
            "com.mysql.cj.protocol.a.authentication.",
            "mysql_native_password",
            "sha256_password",
        ],
    ),
    property("authenticationfidocallbackhandler", Effect::Class, MYSQL),
    property(
        "authenticationwebauthncallbackhandler",
        Effect::Class,
        MYSQL,
    ),
    except(
        "ha.loadbalancestrategy",
        Effect::Class,
        MYSQL,
        &["bestResponseTime", "random", "serverAffinity"],
    ),
    except(
        "loadbalancestrategy",
        Effect::Class,
        MYSQL,
        &["bestResponseTime", "random", "serverAffinity"],
    ),
    property("loadbalanceexceptionchecker", Effect::Class, MYSQL),
    property("serverconfigcachefactory", Effect::Class, MYSQL),
    property("parseinfocachefactory", Effect::Class, MYSQL),
    property("queryinfocachefactory", Effect::Class, MYSQL),
    property(
        "serverrsapublickeyfile",
        Effect::File,
        "MySQL and MariaDB Connector/J",
    ),
    property("ociconfigfile", Effect::File, "MySQL Connector/J"),
    property("credentialtype", Effect::Credentials, "MariaDB Connector/J"),
    property("socketfactoryclass", Effect::Class, "mssql-jdbc"),
    property("socketfactoryconstructorarg", Effect::Class, "mssql-jdbc"),
    property("trustmanagerclass", Effect::Class, "mssql-jdbc"),
    property("trustmanagerconstructorarg", Effect::Class, "mssql-jdbc"),
    property("accesstokencallbackclass", Effect::Class, "mssql-jdbc"),
    property("jaasconfigurationname", Effect::Naming, "mssql-jdbc"),
    property(
        "clientrerouteserverlistjndiname",
        Effect::Naming,
        "Db2's driver, CVE-2023-27867",
    ),
    property(
        "pluginclassname",
        Effect::Class,
        "Db2's driver, CVE-2023-27868",
    ),
    property("tracefile", Effect::File, "Db2's driver, CVE-2023-27869"),
    property("tracedirectory", Effect::File, "Db2's driver"),
    property("inifile", Effect::File, "Redshift's driver"),
];

/// Databases that run inside the worker, with its files and classes; and names that are looked up.
const SCHEMES: [(&str, &str); 9] = [
    ("calcite", "its model names classes, which are made"),
    ("datasource", "the name is looked up in a naming service"),
    ("derby", "it runs in the worker and writes its files"),
    ("duckdb", "it runs in the worker and reads files and URLs"),
    (
        "h2",
        "its INIT runs scripts, and with them Java (CVE-2021-42392, CVE-2022-23221)",
    ),
    (
        "hsqldb",
        "its SQL calls static Java methods (CVE-2022-41853)",
    ),
    ("jndi", "the name is looked up in a naming service"),
    (
        "sqlite",
        "it opens any file as a database and loads native code",
    ),
    ("ucanaccess", "it is HSQLDB with files (CVE-2022-41853)"),
];

pub(super) fn refusal(key: &str, value: Value<'_>) -> Option<Problem> {
    let own = PREFIXES.iter().find_map(|prefix| key.strip_prefix(prefix));
    if let Some(property) = own.and_then(lookup) {
        return property
            .is_harmful(value.text())
            .then(|| property.problem(key, false));
    }
    value.text().and_then(|text| url(key, text))
}

fn lookup(name: &str) -> Option<&'static Property> {
    PROPERTIES
        .iter()
        .find(|property| property.name.eq_ignore_ascii_case(name))
}

impl Property {
    /// What is not seen may be harmful.
    fn is_harmful(&self, value: Option<&str>) -> bool {
        let Some(value) = value.map(str::trim) else {
            return true;
        };
        let off = value.is_empty() || value.eq_ignore_ascii_case("false");
        !off && !self
            .harmless
            .iter()
            .any(|known| value == *known || (known.ends_with('.') && value.starts_with(known)))
    }

    fn problem(&self, shown: &str, in_url: bool) -> Problem {
        let shown = super::super::cut(shown);
        let (message, attack) = match self.effect {
            Effect::Class => (
                format!("{shown} would make the driver load and run a class"),
                "the class is made with an argument of the configuration's choice, which is enough to run code",
            ),
            Effect::Objects => (
                format!("{shown} would make the driver read Java objects out of columns"),
                "who writes such a column runs code in the worker",
            ),
            Effect::SendFiles => (
                format!("{shown} would let the database read the worker's files"),
                "the answer to a statement may ask the driver to send a file",
            ),
            Effect::File => (
                format!("{shown} would make the driver open a file of the worker's host"),
                "the driver opens it with the worker's rights",
            ),
            Effect::Naming => (
                format!("{shown} would make the driver ask a naming service or a login module"),
                "what comes back is run",
            ),
            Effect::Credentials => (
                format!("{shown} would make the driver take credentials from elsewhere"),
                "it reads the environment, or runs a class that it finds",
            ),
        };
        let hint = match (in_url, self.harmless) {
            (true, _) => String::from("leave the parameter out of the URL"),
            (false, []) => String::from("leave the key out"),
            (false, harmless) => {
                let harmless: Vec<&str> = harmless
                    .iter()
                    .map(|text| text.trim_end_matches('.'))
                    .collect();
                format!(
                    "leave the key out, or write one of {} in config",
                    harmless.join(", ")
                )
            }
        };
        Problem::new(ErrorCode::InvalidArgument, message)
            .detail(format!("{attack} ({})", self.known_as))
            .hint(hint)
    }
}

/// A JDBC URL in any key. Its parameters are written in many ways (`?a=b&c=d`, `;a=b`,
/// `(a=b,c=d)`, `:a=b`); every name before a `=` counts. Nothing of the text is quoted but known names.
fn url(key: &str, text: &str) -> Option<Problem> {
    let rest = strip_ignoring_case(text.trim(), "jdbc:")?;
    let scheme = rest
        .split([':', '/', ';', '?', '+'])
        .next()
        .unwrap_or_default();
    let scheme = scheme.trim().to_ascii_lowercase();
    if let Some((name, why)) = SCHEMES.iter().find(|(name, _)| *name == scheme) {
        return Some(
            Problem::new(
                ErrorCode::InvalidArgument,
                format!("{} may not be a jdbc:{name}: URL", super::super::cut(key)),
            )
            .detail(*why)
            .hint("name a database server, such as jdbc:postgresql://HOST/DATABASE"),
        );
    }
    if decoded(rest).to_ascii_lowercase().contains("@ldap") {
        return Some(
            Problem::new(
                ErrorCode::InvalidArgument,
                "the driver may not look its database up by LDAP",
            )
            .detail("Oracle's driver asks the server that the URL names through JNDI")
            .hint("write the database's own address"),
        );
    }
    parameters(rest).find_map(|(name, value)| {
        let property = lookup(name.trim())?;
        property
            .is_harmful(Some(&value))
            .then(|| property.problem(property.name, true))
    })
}

fn strip_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix)
        .then(|| &text[prefix.len()..])
}

fn parameters(rest: &str) -> impl Iterator<Item = (String, String)> + '_ {
    rest.split(['?', '&', ';', ':', ',', '(', ')', '{', '}', '#'])
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
}

/// Percent-encoding undone (RFC 3986, 2.1); what is none stays as it is.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let digit = |at: usize| {
        bytes
            .get(at)
            .and_then(|byte| char::from(*byte).to_digit(16))
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if let (b'%', Some(high), Some(low)) = (byte, digit(at + 1), digit(at + 2)) {
            out.push(high * 16 + low);
            at += 3;
        } else {
            out.push(*byte);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// For the tests: every name in the table.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PROPERTIES.iter().map(|property| property.name)
}
