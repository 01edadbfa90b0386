//! Roles that the brokers enforce: the seed on a secured cluster, drift, rotation, and clusters that do not let us in.

use anyhow::{Context as _, Result, bail, ensure};
use e2e::secured::{Bad, Secured};
use e2e::terraform::Terraform;
use e2e::world::World;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const NAME: &str = "ecommerce-orders";
const ORDERS: &str = "ecommerce-server.ecommerce.orders";
const RECORD_LIMIT: Duration = Duration::from_mins(1);
/// What the issue of the walk-through promises for a repair; the daemon looks every 15 s.
const REPAIR_LIMIT: Duration = Duration::from_secs(30);
/// An error about a cluster has to be there by then.
const ERROR_LIMIT: Duration = Duration::from_secs(10);

/// The walk-through's configuration on the secured broker.
fn seed(world: &mut World) -> Result<(Terraform, Secured)> {
    world.rig.add("secured")?;
    let secured = world.rig.secured()?;
    let mut terraform = world.example("seed")?;
    let ca = secured.ca.to_string_lossy().into_owned();
    for (variable, value) in [
        ("bootstrap_servers", secured.bootstrap.as_str()),
        ("kafka_ca_file", &ca),
        ("kafka_admin_username", &secured.admin_user),
        ("kafka_admin_password", &secured.admin_password),
        ("plugin_source", world.place("RIG_PLUGIN_SEED_ZIP")?),
        ("database_hostname", world.rig.fact("RIG_MARIADB_HOST")?),
        ("database_port", world.rig.fact("RIG_MARIADB_PORT")?),
        ("database_user", world.rig.fact("RIG_MARIADB_USER")?),
        ("database_password", world.rig.fact("RIG_MARIADB_PASSWORD")?),
    ] {
        terraform.set(&format!("TF_VAR_{variable}"), value);
    }
    Ok((terraform, secured))
}

/// Plan names what the policy lacks for a restart; with it the seed runs, and again after a restart; a removed ACL comes
/// back, a stranger's stays; a rotated password changes nothing that people see; a destroy leaves nobody on the broker.
pub fn seed_under_its_role(world: &mut World) -> Result<()> {
    let (terraform, secured) = seed(world)?;
    let main = terraform.folder().join("main.tf");
    let whole = std::fs::read_to_string(&main)?;
    let from = whole
        .find("  # Without it the first start works")
        .context("the example has no statement for the history's group")?;
    let to = from + whole[from..].find("\n  }\n").context("its end")? + "\n  }\n".len();
    std::fs::write(&main, format!("{}{}", &whole[..from], &whole[to..]))?;
    let refused = terraform.plan()?.expect(1)?;
    for part in [
        "ecommerce-server-dbhistory",
        "kafka-cluster:AlterGroup",
        "service_execution_role_arn",
    ] {
        refused.says(part)?;
    }
    std::fs::write(&main, &whole)?;
    let planned = terraform.plan()?.expect(2)?;
    for acl in [
        "ALLOW WRITE topic ecommerce-server.*",
        "ALLOW READ group ecommerce-server-dbhistory",
    ] {
        planned.says(acl)?;
    }
    world.rig.mariadb(
        "CREATE DATABASE ecommerce; CREATE TABLE ecommerce.orders (order_id VARCHAR(255), price DECIMAL(6,2))",
    )?;
    let began = Instant::now();
    terraform.apply()?.expect(0)?;
    println!("applied in {:.1} s", began.elapsed().as_secs_f64());
    terraform.plan()?.expect(0)?;
    insert_and_see(world, &secured, 1)?;
    let restarted = world.daemon.runnel(&["restart", NAME])?;
    print!("{restarted}");
    insert_and_see(world, &secured, 2)?;
    drift(world, &secured)?;
    let rotated = world.daemon.runnel(&["rotate", NAME])?;
    print!("{rotated}");
    insert_and_see(world, &secured, 3)?;
    terraform.plan()?.expect(0)?;
    let user = principal(world)?;
    terraform.destroy()?.expect(0)?;
    ensure!(!users(&secured)?.contains(&user), "{user} is still a user");
    ensure!(!acls(&secured)?.contains(&user), "{user} still has ACLs");
    let topics = secured.topics()?;
    ensure!(
        !topics
            .iter()
            .any(|topic| topic.contains("__runnel_") && topic.contains(NAME)),
        "{topics:?}"
    );
    world.rig.mariadb("DROP DATABASE ecommerce")?;
    Ok(())
}

fn insert_and_see(world: &World, secured: &Secured, order: u32) -> Result<()> {
    world.rig.mariadb(&format!(
        "INSERT INTO ecommerce.orders VALUES ('order-{order}', {order}.00)"
    ))?;
    tail_until(world, secured, ORDERS, &format!("order_id=order-{order}"))
}

fn tail_until(world: &World, secured: &Secured, topic: &str, part: &str) -> Result<()> {
    let limit = format!("{}s", RECORD_LIMIT.as_secs());
    let password = world.rig.fact("RIG_SECURED_ADMIN_PASSWORD_FILE")?;
    let arguments = [
        "tail",
        topic,
        "--cluster",
        "shop",
        "--username",
        &secured.admin_user,
        "--password-file",
        password,
        "--until",
        part,
        "--timeout",
        &limit,
    ];
    let text = world.daemon.runnel(&arguments)?;
    ensure!(text.contains(part), "{text}");
    Ok(())
}

/// The connector's user, without `User:`.
fn principal(world: &World) -> Result<String> {
    let connector = world.daemon.get(&format!("/api/v1/connectors/{NAME}"))?;
    let principal = connector["status"]["derived"]["principal"].as_str();
    let user = principal.and_then(|it| it.strip_prefix("User:"));
    Ok(user.context("no principal")?.to_owned())
}

fn users(secured: &Secured) -> Result<String> {
    secured.kafka(&["configs", "--describe", "--entity-type", "users"])
}

fn acls(secured: &Secured) -> Result<String> {
    secured.kafka(&["acls", "--list"])
}

/// What somebody changes by hand is repaired; what belongs to others is not touched.
fn drift(world: &World, secured: &Secured) -> Result<()> {
    let user = principal(world)?;
    let owner = format!("User:{user}");
    let history = "ecommerce-server-dbhistory";
    let add = |principal: &str, topic: &str| {
        secured.kafka(&[
            "acls",
            "--add",
            "--allow-principal",
            principal,
            "--operation",
            "Read",
            "--topic",
            topic,
        ])
    };
    add("User:somebody-else", "somebody-elses")?;
    add(&owner, "not-for-this-connector")?;
    secured.kafka(&[
        "acls",
        "--remove",
        "--force",
        "--allow-principal",
        &owner,
        "--operation",
        "Read",
        "--group",
        history,
    ])?;
    let began = Instant::now();
    loop {
        let found = secured.kafka(&["acls", "--list", "--principal", &owner])?;
        if found.contains(history) && !found.contains("not-for-this-connector") {
            break;
        }
        ensure!(
            began.elapsed() < REPAIR_LIMIT,
            "not repaired after {REPAIR_LIMIT:?}: {found}"
        );
    }
    println!(
        "a removed and an added ACL were repaired within {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let all = acls(secured)?;
    ensure!(
        all.contains("User:somebody-else") && all.contains("somebody-elses"),
        "{all}"
    );
    let log = std::fs::read_to_string(world.daemon.log_path())?;
    ensure!(
        log.contains("repaired user and ACLs"),
        "the repair is not in the log"
    );
    let audit = world.daemon.runnel(&["audit", "--name", NAME])?;
    ensure!(audit.contains("repair user and ACLs"), "{audit}");
    insert_and_see(world, secured, 20)
}

/// A server that answers TLS with a certificate that must be refused.
struct BadServer {
    child: Child,
    port: u16,
}

impl BadServer {
    fn start(secured: &Secured, which: Bad) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let (certificate, key) = secured.bad(which);
        let child = Command::new("openssl")
            .args([
                "s_server",
                "-quiet",
                "-accept",
                &format!("127.0.0.1:{port}"),
            ])
            .arg("-cert")
            .arg(certificate)
            .arg("-key")
            .arg(key)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(
                began.elapsed() < ERROR_LIMIT,
                "openssl s_server does not listen"
            );
            std::thread::yield_now();
        }
        Ok(Self { child, port })
    }
}

impl Drop for BadServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a declared cluster says, with one thing wrong.
fn cluster(servers: &str, ca: &Path, password: &str, encryption: &str) -> String {
    let authority = if encryption == "TLS" {
        format!(", ca_certificate = file(\"{}\")", ca.display())
    } else {
        String::new()
    };
    format!(
        "resource \"runnel_kafka_cluster\" \"this\" {{\n  name = \"shut\"\n  bootstrap_servers = \"{servers}\"\n  \
         encryption_in_transit = {{ type = \"{encryption}\"{authority} }}\n  client_authentication = {{ type = \
         \"SCRAM_SHA_512\" }}\n  admin = {{ username = \"admin\", password_wo = \"{password}\", password_wo_version = 1 \
         }}\n}}\n"
    )
}

/// A cluster that does not let us in is one clear error at plan, soon, on the argument to blame.
pub fn shut_clusters(world: &mut World) -> Result<()> {
    world.rig.add("secured")?;
    let secured = world.rig.secured()?;
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let silent_server = silent.local_addr()?.to_string();
    let expired = BadServer::start(&secured, Bad::Expired)?;
    let elsewhere = BadServer::start(&secured, Bad::Elsewhere)?;
    let at = |port: u16| format!("127.0.0.1:{port}");
    let plain = world.rig.bootstrap()?.to_owned();
    let (right, ca) = (secured.admin_password.as_str(), secured.ca.as_path());
    let cases = [
        (
            "wrong password",
            secured.bootstrap.clone(),
            ca,
            "wrong-password",
            "password_wo",
        ),
        (
            "wrong authority",
            secured.bootstrap.clone(),
            &secured.other_ca,
            right,
            "ca_certificate",
        ),
        ("expired", at(expired.port), ca, right, "expired"),
        (
            "another host",
            at(elsewhere.port),
            ca,
            right,
            "bootstrap_servers",
        ),
        (
            "TLS to a plain port",
            plain,
            ca,
            right,
            "encryption_in_transit",
        ),
        ("silent port", silent_server, ca, right, "bootstrap_servers"),
        ("closed port", at(1), ca, right, "bootstrap_servers"),
    ];
    let terraform = world.terraform("shut", "")?;
    for (case, servers, ca, password, says) in cases {
        terraform.write(&cluster(&servers, ca, password, "TLS"))?;
        let began = Instant::now();
        let refused = terraform.plan()?.expect(1)?;
        let took = began.elapsed();
        println!("{case}: {:.1} s\n{}", took.as_secs_f64(), refused.text);
        ensure!(took < ERROR_LIMIT, "{case} took {took:?}");
        refused.says(says)?;
        if refused.text.matches("Error:").count() != 1 {
            bail!("{case}: not one error");
        }
        ensure!(
            !refused.text.contains(right),
            "{case}: the password is shown"
        );
    }
    Ok(())
}
