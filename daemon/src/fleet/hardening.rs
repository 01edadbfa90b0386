//! JVM options that take away from a worker what no connector needs: naming services, login modules
//! beyond passwords and tokens, files and URLs read by a login, attaching from outside.
//!
//! The names of the system properties were checked in the jars of Kafka 3.9.2 and 4.3.1 (`JaasUtils`,
//! `AbstractConfig`, `ConfigurationUtils`) and in JDK 17's documentation (`conf/security/java.security`,
//! module `java.naming`). A release that does not know one ignores it.
//!
//! Not among them is `jdk.serialFilter`: plugins of unknown kind keep buffers by Java's serialisation (Debezium's
//! Oracle connector with its caches does), and a filter that lets all of them work keeps nothing out. What would read
//! Java objects from outside is refused at plan instead.

use super::launch::{LaunchError, release};

/// Login modules that a Kafka client may use; the same as the planner lets through.
const LOGIN_MODULES: [&str; 4] = [
    "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule",
    "org.apache.kafka.common.security.plain.PlainLoginModule",
    "org.apache.kafka.common.security.scram.ScramLoginModule",
    "software.amazon.msk.auth.iam.IAMLoginModule",
];

/// Login modules of the JDK and of Connect that ask servers or read files; for releases that know only a list of
/// what is forbidden.
const FORBIDDEN_LOGIN_MODULES: [&str; 7] = [
    "com.sun.security.auth.module.JndiLoginModule",
    "com.sun.security.auth.module.KeyStoreLoginModule",
    "com.sun.security.auth.module.Krb5LoginModule",
    "com.sun.security.auth.module.LdapLoginModule",
    "com.sun.security.auth.module.NTLoginModule",
    "com.sun.security.auth.module.UnixLoginModule",
    "org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule",
];

/// The options for a worker of this Kafka release.
pub(super) fn jvm_options(kafka_version: &str) -> Result<Vec<String>, LaunchError> {
    // 4.3 has the list of what is allowed, and remarks on the other one with each login.
    let login_modules = if release(kafka_version)? >= (4, 3) {
        format!(
            "-Dorg.apache.kafka.allowed.login.modules={}",
            LOGIN_MODULES.join(",")
        )
    } else {
        format!(
            "-Dorg.apache.kafka.disallowed.login.modules={}",
            FORBIDDEN_LOGIN_MODULES.join(",")
        )
    };
    let mut options = vec![login_modules];
    options.extend(
        [
            // No debugger, no agent, no heap dump from outside.
            "-XX:+DisableAttachMechanism",
            // A dump of the memory would hold every secret; the shim's limit on core files says the same.
            "-XX:-CreateCoredumpOnCrash",
            "-XX:-HeapDumpOnOutOfMemoryError",
            // CVE-2024-31141: client configurations must not bring providers of their own.
            "-Dorg.apache.kafka.automatic.config.providers=none",
            // CVE-2025-27817: the OAUTHBEARER client reads no URL and no file.
            "-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=",
            "-Dorg.apache.kafka.sasl.oauthbearer.allowed.files=",
            // What a naming service answers is never made into an object: neither from a class that it names, nor from
            // bytes that it sends, nor by a factory on the class path.
            "-Dcom.sun.jndi.ldap.object.trustURLCodebase=false",
            "-Dcom.sun.jndi.ldap.object.trustSerialData=false",
            "-Dcom.sun.jndi.rmi.object.trustURLCodebase=false",
            "-Djdk.jndi.object.factoriesFilter=!*",
        ]
        .map(str::to_owned),
    );
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_release_forbids_logins_that_reach_out() {
        for (version, allows) in [
            ("3.9.2", false),
            ("4.2.0", false),
            ("4.3.1", true),
            ("5.0.0", true),
        ] {
            let options = jvm_options(version).unwrap();
            let list = |begin: &str| options.iter().find_map(|option| option.strip_prefix(begin));
            let allowed = list("-Dorg.apache.kafka.allowed.login.modules=");
            let forbidden = list("-Dorg.apache.kafka.disallowed.login.modules=");
            assert_eq!(allowed.is_some(), allows, "{version}");
            assert_ne!(allowed.is_some(), forbidden.is_some(), "{version}");
            for module in ["JndiLoginModule", "LdapLoginModule"] {
                assert!(allowed.is_none_or(|list| !list.contains(module)));
                assert!(forbidden.is_none_or(|list| list.contains(module)));
            }
            assert!(!options.iter().any(|option| option.contains("jmxremote")));
        }
        assert!(jvm_options("x").is_err());
    }
}
