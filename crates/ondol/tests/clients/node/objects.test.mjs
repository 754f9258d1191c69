// Objects, patches, watches and informers of the official Node client.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { config, k8s, until } from './cluster.mjs';

const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const objects = k8s.KubernetesObjectApi.makeApiClient(config);
let namespace;

before(async () => {
  namespace = (await core.createNamespace({ body: { metadata: { generateName: 'node-' } } })).metadata.name;
});
after(() => core.deleteNamespace({ name: namespace }));

async function refused(code, reason, call) {
  const error = await call.then(() => assert.fail('it succeeded'), (error) => error);
  assert.equal(error.code, code, String(error));
  const status = typeof error.body === 'string' ? JSON.parse(error.body) : error.body;
  assert.equal(status.reason, reason);
  return status;
}

const labels = { app: 'node' };
const deployment = (name, replicas) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, namespace },
  spec: {
    replicas,
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'nginx' }] } },
  },
});
const configMap = (name, labels) => ({ metadata: { name, labels } });

test('typed objects are written and read', async () => {
  const made = await core.createNamespacedConfigMap({ namespace, body: { ...configMap('typed'), data: { a: 'b' } } });
  const read = await core.readNamespacedConfigMap({ namespace, name: 'typed' });
  assert.deepEqual(read, made);
  assert.ok(read.metadata.creationTimestamp instanceof Date);
  const replaced = await core.replaceNamespacedConfigMap({ namespace, name: 'typed', body: { ...made, data: { a: 'c' } } });
  assert.deepEqual(replaced.data, { a: 'c' });
  const status = await refused(409, 'Conflict', core.replaceNamespacedConfigMap({ namespace, name: 'typed', body: made }));
  assert.match(status.message, /the object has been modified/);
  await core.deleteNamespacedConfigMap({ namespace, name: 'typed' });
  await refused(404, 'NotFound', core.readNamespacedConfigMap({ namespace, name: 'typed' }));
});

test('a deployment becomes ready, scales and ends', async () => {
  await apps.createNamespacedDeployment({ namespace, body: deployment('web', 1) });
  const ready = async () => (await apps.readNamespacedDeployment({ namespace, name: 'web' })).status.readyReplicas;
  await until('one replica', async () => (await ready()) === 1);
  const scale = await apps.readNamespacedDeploymentScale({ namespace, name: 'web' });
  scale.spec.replicas = 2;
  await apps.replaceNamespacedDeploymentScale({ namespace, name: 'web', body: scale });
  await until('two replicas', async () => (await ready()) === 2);
  await apps.deleteNamespacedDeployment({ namespace, name: 'web', propagationPolicy: 'Foreground' });
  await until('the end', async () => (await core.listNamespacedPod({ namespace, labelSelector: 'app=node' })).items.length === 0);
});

test('every family of patches changes objects of any kind', async () => {
  const { JsonPatch, MergePatch, ServerSideApply, StrategicMergePatch } = k8s.PatchStrategy;
  await objects.create(deployment('patched', 0));
  const header = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'patched', namespace } };
  const patch = (body, strategy, manager, force) => objects.patch(body, undefined, undefined, manager, force, strategy);
  const side = { spec: { template: { spec: { containers: [{ name: 'side', image: 'busybox' }] } } } };
  let patched = await patch({ ...header, ...side }, StrategicMergePatch);
  assert.deepEqual(patched.spec.template.spec.containers.map((one) => one.name), ['side', 'main']);
  patched = await patch({ ...header, ...side }, MergePatch);
  assert.deepEqual(patched.spec.template.spec.containers.map((one) => one.name), ['side']);
  patched = await apps.patchNamespacedDeployment(
    { namespace, name: 'patched', body: [{ op: 'replace', path: '/spec/replicas', value: 1 }] },
    k8s.setHeaderOptions('Content-Type', JsonPatch),
  );
  assert.equal(patched.spec.replicas, 1);
  await patch({ ...header, spec: { minReadySeconds: 3 } }, ServerSideApply, 'first');
  const other = { ...header, spec: { minReadySeconds: 5 } };
  const status = await refused(409, 'Conflict', patch(other, ServerSideApply, 'second'));
  assert.equal(status.details.causes[0].field, '.spec.minReadySeconds');
  patched = await patch(other, ServerSideApply, 'second', true);
  assert.equal(patched.spec.minReadySeconds, 5);
  await objects.delete(header);
});

test('a watch tells what happens after a revision', async () => {
  const { metadata } = await core.listNamespacedConfigMap({ namespace });
  await core.createNamespacedConfigMap({ namespace, body: configMap('watched') });
  await core.deleteNamespacedConfigMap({ namespace, name: 'watched' });
  const seen = [];
  await new Promise((resolve, reject) => {
    const query = { resourceVersion: metadata.resourceVersion, fieldSelector: 'metadata.name=watched', timeoutSeconds: 1 };
    new k8s.Watch(config)
      .watch(`/api/v1/namespaces/${namespace}/configmaps`, query, (phase, object) => seen.push(`${phase} ${object.metadata.name}`),
        (error) => (error && error !== k8s.Watch.SERVER_SIDE_CLOSE ? reject(error) : resolve()))
      .catch(reject);
  });
  assert.deepEqual(seen, ['ADDED watched', 'DELETED watched']);
});

test('an informer keeps a cache', async () => {
  const list = () => core.listNamespacedConfigMap({ namespace, labelSelector: 'informed=yes' });
  const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, list, 'informed=yes');
  const said = [];
  for (const verb of ['add', 'update', 'delete']) informer.on(verb, (object) => said.push(`${verb} ${object.metadata.name}`));
  informer.on('error', (error) => said.push(`error ${error}`));
  await core.createNamespacedConfigMap({ namespace, body: configMap('first', { informed: 'yes' }) });
  await informer.start();
  await until('the first object', () => informer.get('first', namespace));
  await core.createNamespacedConfigMap({ namespace, body: configMap('second', { informed: 'yes' }) });
  await until('the second object', () => informer.get('second', namespace));
  await core.patchNamespacedConfigMap({ namespace, name: 'second', body: { data: { a: 'b' } } },
    k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch));
  await core.deleteNamespacedConfigMap({ namespace, name: 'first' });
  await until('all events', () => said.length >= 4);
  assert.deepEqual(said, ['add first', 'add second', 'update second', 'delete first']);
  await informer.stop();
});

test('custom objects are defined and written', async () => {
  const definitions = config.makeApiClient(k8s.ApiextensionsV1Api);
  const group = 'node.clients.ondol.test';
  const name = `boxes.${group}`;
  const schema = { type: 'object', properties: { spec: { type: 'object', properties: { size: { type: 'integer', _default: 3 } } } } };
  await definitions.createCustomResourceDefinition({
    body: {
      metadata: { name },
      spec: {
        group, scope: 'Namespaced', names: { plural: 'boxes', kind: 'Box' },
        versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } }],
      },
    },
  });
  await until('an established definition', async () => {
    const { status } = await definitions.readCustomResourceDefinition({ name });
    return status?.conditions?.some((one) => one.type === 'Established' && one.status === 'True');
  });
  const custom = config.makeApiClient(k8s.CustomObjectsApi);
  const at = { group, version: 'v1', namespace, plural: 'boxes' };
  const body = { apiVersion: `${group}/v1`, kind: 'Box', metadata: { name: 'box' }, spec: {} };
  assert.equal((await custom.createNamespacedCustomObject({ ...at, body })).spec.size, 3);
  assert.equal((await custom.listNamespacedCustomObject(at)).items.length, 1);
  await refused(422, 'Invalid', custom.createNamespacedCustomObject({ ...at, body: { ...body, metadata: { name: 'b' }, spec: { size: 'x' } } }));
  assert.equal((await objects.read({ apiVersion: `${group}/v1`, kind: 'Box', metadata: { name: 'box', namespace } })).spec.size, 3);
  await definitions.deleteCustomResourceDefinition({ name });
});

test('a stranger is refused', async () => {
  const stranger = new k8s.KubeConfig();
  const { server, caData } = config.getCurrentCluster();
  stranger.loadFromClusterAndUser({ name: 'c', server, caData }, { name: 'u', token: 'nonsense' });
  // Of this code the client keeps no body.
  await assert.rejects(stranger.makeApiClient(k8s.CoreV1Api).listNamespacedPod({ namespace }), { code: 401 });
});
