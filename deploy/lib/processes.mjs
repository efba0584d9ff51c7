// The programs under observation: whether they live, and what they cost.
import fs from "node:fs";

export class Process {
    /** `pidFile` is written when the program starts; `ticks` are the kernel's clock ticks in a second. */
    constructor(name, pidFile, ticks) {
        Object.assign(this, { name, pidFile, ticks });
    }

    get startedMs() {
        return fs.existsSync(this.pidFile) ? fs.statSync(this.pidFile).mtimeMs : null;
    }

    get alive() {
        const stat = this.#stat();
        return stat !== null && !"ZX".includes(stat[0]);
    }

    /** CPU share of one core since the start (0 to 1) and resident memory in bytes, now and at its most; null once it is gone. */
    cost(nowMs) {
        const stat = this.#stat();
        if (!stat || !this.alive) return null;
        const status = fs.readFileSync(`/proc/${this.#pid()}/status`, "utf8");
        const bytes = name => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) * 1024;
        const seconds = (Number(stat[11]) + Number(stat[12])) / this.ticks;
        return { cpu: (seconds * 1000) / (nowMs - this.startedMs), rss: bytes("VmRSS"), peak: bytes("VmHWM") };
    }

    #pid() {
        return fs.readFileSync(this.pidFile, "utf8").trim();
    }

    /** The fields of /proc/PID/stat from the state on: the name before it may hold spaces. */
    #stat() {
        try {
            const line = fs.readFileSync(`/proc/${this.#pid()}/stat`, "utf8");
            return line.slice(line.lastIndexOf(")") + 2).split(" ");
        } catch {
            return null;
        }
    }
}
