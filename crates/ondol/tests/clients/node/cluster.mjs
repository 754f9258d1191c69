// What the suites of the Node client share. KUBECONFIG names the cluster, ONDOL_TEST_NODE_CLIENT the client's entry file.
import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';

export const k8s = await import(pathToFileURL(process.env.ONDOL_TEST_NODE_CLIENT));
export const config = new k8s.KubeConfig();
config.loadFromDefault();

const PATIENCE = 60_000;

export async function until(what, condition) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const seen = await condition();
    if (seen) return seen;
    assert.ok(Date.now() < end, `${what} did not come about`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
