# shellcheck shell=bash
# Packages of node for the services that are node programs. Sourced after lib.sh.

# npm_once NAME FOLDER [FUNCTION]: the packages of FOLDER/package.json in the cache, once for each content of its json files and each
# ABI of node (native modules); FUNCTION completes what npm left in its argument. Prints the path.
npm_once() {
    local name=$1 key
    npm_folder=$2 npm_complete=${3:-true}
    has npm || fail "cannot install $name: npm is not there"
    key=$(cat "$npm_folder"/package*.json | sha256sum | cut -c 1-12)-node$(node -p process.versions.modules)
    install_once "$name-$key" npm_fill
}

npm_fill() {
    local work=$1 verb=install
    cp "$npm_folder"/package*.json "$work"
    if [ -e "$work/package-lock.json" ]; then verb=ci; fi
    say "fetching the packages of $npm_folder"
    # No install scripts: some fetch prebuilt files from elsewhere, and all of them would run as the installing user.
    (cd "$work" && quietly npm.log npm "$verb" --ignore-scripts --no-audit --no-fund --loglevel=error)
    "$npm_complete" "$work"
}

# The folder over include/node with headers of the running node (for native modules); 1 without any.
node_headers() {
    local folder abi
    abi=$(node -p process.versions.modules)
    for folder in "$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")" /usr /usr/local; do
        if grep -qs "define NODE_MODULE_VERSION $abi\$" "$folder/include/node/node_version.h"; then
            echo "$folder"
            return
        fi
    done
    return 1
}

# json PATH: a value out of the JSON on stdin, as in `json data.peer_id`; nothing and 1 if it is not there.
json() {
    node -e 'let text = ""; process.stdin.on("data", d => text += d).on("end", () => {
        let value;
        try { value = process.argv[1].split(".").reduce((v, key) => v?.[key], JSON.parse(text)); } catch {}
        if (value === undefined || value === null) process.exit(1);
        console.log(typeof value === "object" ? JSON.stringify(value) : String(value)); });' "$1"
}
