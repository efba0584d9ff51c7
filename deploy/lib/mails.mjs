// The mails that the SMTP server took, as its web side shows them.
import { ask, now } from "./recorder.mjs";

/** `[ethmon] [CRITICAL] reorg_deep: network, …` → { label, rule }; null for a mail of another kind. */
export function parseSubject(subject) {
    const found = /^\[ethmon\] \[([A-Z ]+)\] ([a-z0-9_]+):/.exec(subject ?? "");
    return found && { label: found[1], rule: found[2] };
}

export class Mailbox {
    /** In the order of their coming: { at, subject, text, rule, kind, messageId, inReplyTo }; `kind` is firing, reminder or recovery. */
    mails = [];
    #seen = new Set();

    constructor(url) {
        this.url = url;
    }

    /** Mails that are new since the last call. `at` is when they were first seen here: the server keeps only the time the sender wrote. */
    async poll() {
        const fresh = (await ask(`${this.url}/email`)).filter(mail => !this.#seen.has(mail.id));
        const at = now();
        const taken = fresh.map(mail => ({ at, ...describe(mail) }));
        for (const mail of fresh) this.#seen.add(mail.id);
        this.mails.push(...taken);
        return taken;
    }

    of(rule, kind) {
        return this.mails.filter(mail => mail.rule === rule && mail.kind === kind);
    }
}

function describe(mail) {
    const parsed = parseSubject(mail.subject);
    const kind = !parsed ? "other" : parsed.label === "RESOLVED" ? "recovery" : parsed.label.endsWith("STILL") ? "reminder" : "firing";
    const headers = mail.headers ?? {};
    return { subject: mail.subject, text: mail.text ?? "", rule: parsed?.rule, kind, messageId: headers["message-id"], inReplyTo: headers["in-reply-to"] };
}
