import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileFlags } from "../../src/flags/file-flags.ts";
import { staticFlags } from "../../src/flags/static-flags.ts";
import { unleashFlags } from "../../src/flags/unleash/unleash-flags.ts";
import { FakeUnleash } from "../flags/unleash/fake-unleash.ts";
import { flagContract } from "./flag-control.ts";

flagContract("in the process", async () => ({
  flags: staticFlags({ "files.upload": 0, "files.info": 0 }),
  close: async () => undefined,
}));

flagContract("from files", async () => {
  const folder = await mkdtemp(join(tmpdir(), "changeover-flags-"));
  for (const name of ["files.upload", "files.info"]) {
    const shares = { enabled: true, percentage: 0, shadowPercentage: 0 };
    const about = { kind: "operation", name, purpose: "test", owner: "o", removeBy: "2027-06-30" };
    const sticky = { groupId: "files", stickiness: "routingKey" };
    const text = JSON.stringify({ ...about, ...shares, ...sticky });
    await writeFile(join(folder, `${name}.json`), text);
  }
  const stateFolder = await mkdtemp(join(tmpdir(), "changeover-state-"));
  const flags = fileFlags({ folder, stateFolder, pollMs: 5 });
  await flags.ready();
  return {
    flags,
    close: async () => {
      await flags.close();
      await rm(folder, { recursive: true });
      await rm(stateFolder, { recursive: true });
    },
  };
});

flagContract("from a server that speaks as Unleash", async () => {
  const fake = await FakeUnleash.start();
  fake.put("files", true, [{ rollout: "100" }]);
  for (const name of ["files.upload", "files.info"]) {
    fake.put(name, true, [{}], "files");
    const parameters = { rollout: "0", stickiness: "routingKey", groupId: "files.shadow" };
    fake.put(`${name}.shadow`, true, [{ parameters }], "files");
  }
  const flags = unleashFlags({
    url: fake.url,
    token: "client",
    appName: "test",
    refreshMs: 100,
    admin: { token: "admin" },
  });
  await flags.ready();
  return {
    flags,
    close: async () => {
      await flags.close();
      await fake.close();
    },
  };
});
