// node genesis.mjs LODESTAR_FOLDER GENESIS_TIME OUTPUT [--params.NAME VALUE]…: the genesis state of 16 interop validators.
// `lodestar dev` would write it itself, but then prints times as epoch and slot; given a state it logs as a production node does.
import fs from "node:fs";
const [home, genesisTime, output, ...params] = process.argv.slice(2);
const { getBeaconConfigFromArgs } = await import(`${home}/node_modules/@chainsafe/lodestar/lib/config/beaconParams.js`);
const { nodeUtils } = await import(`${home}/node_modules/@lodestar/beacon-node/lib/index.js`);

const args = { network: "dev" };
for (let i = 0; i < params.length; i += 2) args[params[i].slice(2)] = params[i + 1];
const { config } = getBeaconConfigFromArgs(args);
const eth1BlockHash = Buffer.alloc(32, 0x0b);
const { state } = nodeUtils.initDevState(config, 16, { genesisTime: Number(genesisTime), eth1BlockHash });
fs.writeFileSync(output, state.serialize());
process.exit(0); // the imports leave worker threads behind
