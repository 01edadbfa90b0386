//! Users that were made on a broker for connectors, with their passwords sealed. The row is there
//! before the user is, and goes after it: what a crash leaves on the broker is always known here.

use super::objects::require;
use super::operations::{busy, fresh, insert, unfinished};
use super::rows::{column, int, uint};
use super::seal::{Place, Sealed, Sealer};
use super::{Store, StoreError};
use runnel_api::{Generation, Kind, Name, Operation, OperationKind, Secret};
use rusqlite::{Connection, OptionalExtension as _, params};

/// Under this key a password is sealed; the version follows.
const KEY: &str = "principal";

/// A connector's user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Its name on the broker.
    pub username: String,
    /// Its password.
    pub password: Secret,
    /// Counts passwords, from 1.
    pub version: u64,
}

impl Store {
    /// The user of a connector, if it was given one.
    pub fn principal(&self, connector: &Name) -> Result<Option<Principal>, StoreError> {
        self.read(|tx| {
            let head = require(tx, Kind::Connector, connector)?;
            self.find_principal(tx, connector, head.incarnation)
        })
    }

    /// The user of a connector; made with `fresh` as its password if there is none.
    pub fn ensure_principal(
        &self,
        connector: &Name,
        username: &str,
        fresh: &Secret,
    ) -> Result<Principal, StoreError> {
        self.write(|tx| {
            let head = require(tx, Kind::Connector, connector)?;
            match self.find_principal(tx, connector, head.incarnation)? {
                Some(known) => Ok(known),
                None => self.write_principal(tx, connector, head.incarnation, username, fresh, 1),
            }
        })
    }

    /// Gives a connector's user another password; none when it has no user.
    pub fn rotate_principal(
        &self,
        connector: &Name,
        fresh: &Secret,
    ) -> Result<Option<Principal>, StoreError> {
        self.write(|tx| {
            let head = require(tx, Kind::Connector, connector)?;
            let Some(known) = self.find_principal(tx, connector, head.incarnation)? else {
                return Ok(None);
            };
            let version = known.version + 1;
            let name = &known.username;
            self.write_principal(tx, connector, head.incarnation, name, fresh, version)
                .map(Some)
        })
    }

    /// Accepts a rotation: another password, and a restart of all workers, which read it. None when
    /// the connector has no user; refused while another operation is under way.
    pub fn begin_rotation(
        &self,
        connector: &Name,
        fresh_password: &Secret,
    ) -> Result<Option<Operation>, StoreError> {
        self.write(|tx| {
            let head = require(tx, Kind::Connector, connector)?;
            let Some(known) = self.find_principal(tx, connector, head.incarnation)? else {
                return Ok(None);
            };
            if let Some(operation) = unfinished(tx, Kind::Connector, connector)? {
                return Err(busy(&operation));
            }
            self.write_principal(
                tx,
                connector,
                head.incarnation,
                &known.username,
                fresh_password,
                known.version + 1,
            )?;
            let operation = fresh(
                Kind::Connector,
                connector,
                OperationKind::Restart,
                head.generation,
            );
            insert(tx, &operation)?;
            Ok(Some(operation))
        })
    }

    fn find_principal(
        &self,
        tx: &Connection,
        connector: &Name,
        incarnation: u64,
    ) -> Result<Option<Principal>, StoreError> {
        let row = tx
            .query_row(
                "SELECT username, version, nonce, ciphertext FROM principals WHERE connector = ?1",
                [connector.as_str()],
                |row| {
                    let sealed = Sealed {
                        nonce: column(row, "nonce")?,
                        ciphertext: column(row, "ciphertext")?,
                    };
                    Ok((
                        column::<String>(row, "username")?,
                        column::<i64>(row, "version")?,
                        sealed,
                    ))
                },
            )
            .optional()
            .map_err(StoreError::Sql)?;
        let Some((username, version, sealed)) = row else {
            return Ok(None);
        };
        let version = uint(version);
        let opened = self
            .sealer()
            .open(place(connector, incarnation, version), KEY, &sealed);
        Ok(Some(Principal {
            username,
            password: opened.map_err(|error| StoreError::Secret(error.to_string()))?,
            version,
        }))
    }

    fn write_principal(
        &self,
        tx: &Connection,
        connector: &Name,
        incarnation: u64,
        username: &str,
        password: &Secret,
        version: u64,
    ) -> Result<Principal, StoreError> {
        let sealed = self
            .sealer()
            .seal(place(connector, incarnation, version), KEY, password)
            .map_err(|error| StoreError::Secret(error.to_string()))?;
        tx.execute(
            "INSERT INTO principals (kind, connector, username, version, nonce, ciphertext)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (connector) DO UPDATE SET version = ?4, nonce = ?5, ciphertext = ?6",
            params![
                Kind::Connector.singular(),
                connector.as_str(),
                username,
                int(version),
                sealed.nonce,
                sealed.ciphertext
            ],
        )
        .map_err(StoreError::Sql)?;
        Ok(Principal {
            username: username.to_owned(),
            password: password.clone(),
            version,
        })
    }
}

/// Seals every password anew, for a rotation of the sealing key. Answers how many there are.
pub(super) fn reseal(tx: &Connection, old: &Sealer, new: &Sealer) -> Result<u64, StoreError> {
    let sql = "SELECT p.connector, o.incarnation, p.version, p.nonce, p.ciphertext
               FROM principals p LEFT JOIN objects o ON o.kind = p.kind AND o.name = p.connector";
    let mut statement = tx.prepare(sql).map_err(StoreError::Sql)?;
    let rows = statement
        .query_map([], |row| {
            let sealed = Sealed {
                nonce: row.get(3)?,
                ciphertext: row.get(4)?,
            };
            let numbers = (row.get::<_, Option<i64>>(1)?, row.get::<_, i64>(2)?);
            Ok((row.get::<_, String>(0)?, numbers, sealed))
        })
        .map_err(StoreError::Sql)?;
    let rows: Vec<_> = rows.collect::<Result<_, _>>().map_err(StoreError::Sql)?;
    for (connector, (incarnation, version), sealed) in &rows {
        let name = Name::parse(connector);
        let (Ok(name), Some(incarnation)) = (name, incarnation) else {
            let message = format!("a password belongs to no connector: {connector:?}");
            return Err(StoreError::Secret(message));
        };
        let place = place(&name, uint(*incarnation), uint(*version));
        let again = old
            .open(place, KEY, sealed)
            .and_then(|password| new.seal(place, KEY, &password))
            .map_err(|error| StoreError::Secret(format!("the user of {name}: {error}")))?;
        tx.execute(
            "UPDATE principals SET nonce = ?2, ciphertext = ?3 WHERE connector = ?1",
            params![connector, again.nonce, again.ciphertext],
        )
        .map_err(StoreError::Sql)?;
    }
    Ok(rows.len() as u64)
}

/// The version takes the generation's place: an older password does not open as a newer one.
fn place(name: &Name, incarnation: u64, version: u64) -> Place<'_> {
    Place {
        kind: Kind::Connector,
        name,
        incarnation,
        generation: Generation(version),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{name, open, put_connector, secrets, with_neighbours};
    use super::*;

    #[test]
    fn a_connector_keeps_its_user_and_its_password_until_it_is_rotated_or_gone() {
        let (dir, store) = open();
        let spec = with_neighbours(&store);
        let orders = name("orders");
        assert!(store.principal(&orders).is_err());
        put_connector(&store, &spec, Some(secrets("hunter2")));
        assert_eq!(store.principal(&orders).unwrap(), None);
        let first = Secret::new("first-password");
        assert_eq!(store.rotate_principal(&orders, &first).unwrap(), None);
        let made = store
            .ensure_principal(&orders, "runnel-orders", &first)
            .unwrap();
        assert_eq!(
            (made.version, made.password.expose()),
            (1, "first-password")
        );
        let again = store
            .ensure_principal(&orders, "runnel-orders", &Secret::new("other"))
            .unwrap();
        assert_eq!(again, made);
        let rotated = store
            .rotate_principal(&orders, &Secret::new("second-password"))
            .unwrap()
            .unwrap();
        assert_eq!(rotated.version, 2);
        drop(store);
        let data = dir.path().join("data");
        let store = Store::open(&data).unwrap();
        assert_eq!(store.principal(&orders).unwrap(), Some(rotated));
        for entry in std::fs::read_dir(&data).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
            for word in ["first-password", "second-password"] {
                assert!(
                    !bytes
                        .windows(word.len())
                        .any(|window| window == word.as_bytes())
                );
            }
        }
    }
}
