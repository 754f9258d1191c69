//! Commands that work on this machine rather than through the region: up, down, image, env.

use std::error::Error;
use std::path::{Path, PathBuf};

use aws_types::region_files::BUNDLE_FILE;

use crate::arguments::{Account, Down, Env, Image, Shell, Up};
use crate::hooks::{DownOptions, Hooks, UpOptions};
use crate::region;

type Done = Result<(), Box<dyn Error + Send + Sync>>;

/// Starts the region and says how to use it.
pub fn up(hooks: &dyn Hooks, home: PathBuf, options: &Up) -> Done {
    let report = hooks.up(&UpOptions {
        home,
        region: options.region.clone(),
        port: options.port,
        load_balancer_port: options.load_balancer_port,
        simulated: options.simulated,
        store: options.store.clone(),
    })?;
    let state = if report.already_running {
        "is running already"
    } else {
        "is up"
    };
    println!("region {} {state} at {}", options.region, report.endpoint);
    for notice in &report.notices {
        println!("note: {notice}");
    }
    println!("for aws, kubectl and eksctl: eval \"$(ondol env)\"");
    Ok(())
}

/// Stops the region.
pub fn down(hooks: &dyn Hooks, home: PathBuf, options: &Down) -> Done {
    let report = hooks.down(&DownOptions {
        home,
        purge: options.purge,
        grace: options.grace,
    })?;
    if report.was_running {
        println!("region stopped, {} processes ended", report.processes_ended);
    } else {
        println!("no region was running");
    }
    Ok(())
}

/// Loads or lists images.
pub fn image(hooks: &dyn Hooks, home: &Path, command: &Image) -> Done {
    match command {
        Image::Load { archive } => {
            for reference in hooks.image_load(home, archive)? {
                println!("loaded {reference}");
            }
        }
        Image::List => {
            let mut table = comfy_table::Table::new();
            table
                .load_style(comfy_table::presets::NOTHING)
                .set_header(["IMAGE", "DIGEST", "SIZE"]);
            for image in hooks.image_list(home)? {
                let digest: String = image.digest.chars().take(19).collect();
                table.add_row([
                    image.reference,
                    digest,
                    format!("{:.1} MiB", image.size_bytes as f64 / 1_048_576.0),
                ]);
            }
            println!("{table}");
        }
    }
    Ok(())
}

/// Makes an account, or lists all of them.
pub fn account(hooks: &dyn Hooks, home: &Path, command: &Account) -> Done {
    match command {
        Account::Create { id } => {
            let made = hooks.account_create(home, id.as_deref())?;
            println!("account {made} is there; for aws, kubectl and eksctl: eval \"$(ondol env --account {made})\"");
            println!("the first account may assume arn:aws:iam::{made}:role/OrganizationAccountAccessRole");
        }
        Account::List => {
            let mut table = comfy_table::Table::new();
            table
                .load_style(comfy_table::presets::NOTHING)
                .set_header(["ACCOUNT", "ADMINISTRATOR", "ACCESS KEY"]);
            for keys in region::accounts(home)? {
                table.add_row([keys.account_id.to_string(), keys.user_name, keys.access_key_id]);
            }
            println!("{table}");
        }
    }
    Ok(())
}

/// Prints the environment for AWS clients.
pub fn env(home: &Path, options: &Env) -> Done {
    let endpoint = region::endpoint(home)?;
    let keys = region::credentials_of(home, options.account.as_deref())?;
    let region = options.region.as_deref().unwrap_or(&endpoint.region);
    let bundle = home.join(BUNDLE_FILE).display().to_string();
    // The endpoint is plain HTTP, which every client takes. Issuers of clusters are https, so whoever asks them needs the region's authority:
    // botocore reads one variable, Go and OpenSSL the other.
    let trust = [("AWS_CA_BUNDLE", bundle.as_str()), ("SSL_CERT_FILE", bundle.as_str())];
    let variables = [
        ("AWS_ACCESS_KEY_ID", keys.access_key_id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", keys.secret_access_key.as_str()),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
        (region::ACCOUNT, keys.account_id.as_str()),
        ("AWS_ENDPOINT_URL", endpoint.endpoint.as_str()),
    ];
    let trust = trust.iter().filter(|_| endpoint.tls_endpoint.is_some());
    for (name, value) in variables.iter().chain(trust) {
        match options.shell {
            Shell::Sh => println!("export {name}='{value}'"),
            Shell::Fish => println!("set -gx {name} '{value}'"),
            Shell::Powershell => println!("$Env:{name} = '{value}'"),
        }
    }
    // A session token of other credentials would be sent along with these keys and refused.
    match options.shell {
        Shell::Sh => println!("unset AWS_SESSION_TOKEN AWS_PROFILE"),
        Shell::Fish => println!("set -e AWS_SESSION_TOKEN; set -e AWS_PROFILE"),
        Shell::Powershell => println!("Remove-Item Env:AWS_SESSION_TOKEN, Env:AWS_PROFILE -ErrorAction Ignore"),
    }
    Ok(())
}
