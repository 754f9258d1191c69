//! What developers and CI run: the demo, benchmarks, the whole test, real clients, test images, and fact tables.

mod aws_shapes;
mod bench;
mod command;
mod demo;
mod etcd;
mod kube_facts;
mod moto_tests;
mod test;
mod test_images;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The developer's commands of Ondol.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Memory at rest, a pod's way to running, and the way to a page, measured; `bench api` for the API server alone.
    Bench(bench::Options),
    /// A region, a cluster of two nodes and an app behind a load balancer; fetches its page, then deletes everything.
    Demo(demo::Options),
    /// Every test: format, lints, unit tests, and end to end with real clients and containers.
    Test(test::Options),
    /// Installs the real clients that tests drive (kubectl, helm, aws, those of Python, Node and Go) below `target/tools`.
    Tools,
    /// Rewrites the AWS shape tables of `aws-types` from the published service models.
    AwsShapes,
    /// Rewrites the tables of merge keys and protobuf tags from the published Kubernetes types.
    KubeFacts,
    /// Runs moto's tests of EKS, IAM, STS, Auto Scaling, CloudFormation and EC2 against a region of ours.
    MotoTests(moto_tests::Options),
    /// Builds the container images that tests use from Debian packages below `target/test-images`.
    TestImages,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Task::Bench(options) => bench::run_bench(&options),
        Task::Demo(options) => demo::run_demo(&options),
        Task::Test(options) => test::run(&options),
        Task::Tools => tools::install().map(|tools| println!("{}", tools.bin.display())),
        Task::AwsShapes => aws_shapes::extract(),
        Task::KubeFacts => kube_facts::extract(),
        Task::MotoTests(options) => moto_tests::run_tests(&options),
        Task::TestImages => {
            test_images::build_all().map(|built| built.iter().for_each(|image| println!("{}", image.display())))
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
