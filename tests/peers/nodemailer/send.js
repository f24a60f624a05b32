// Three messages over one pooled connection to the relay; port, key, secret and "secure" or "starttls" are given.
const { createTransport } = require("nodemailer");

const [port, user, pass, how] = process.argv.slice(2);
const pool = createTransport({
  host: "127.0.0.1",
  port: Number(port),
  secure: how === "secure",
  requireTLS: how !== "secure",
  tls: { rejectUnauthorized: false },
  auth: { user, pass },
  pool: true,
  maxConnections: 1,
});
const one = (n) =>
  pool.sendMail({
    from: '"Zoé de la boutique" <zoe@boutique.example>',
    to: `luc${n}@lecteurs.example`,
    subject: `Reçu n° ${n}`,
    text: ".\nMerci à vous.\n",
    html: "<p>Merci à vous.</p>",
    attachments: [{ filename: "reçu.txt", content: "12,50 €" }],
    dsn: { id: `r${n}`, return: "headers", notify: ["failure", "delay"], recipient: "zoe@boutique.example" },
  });

Promise.all([one(1), one(2), one(3)])
  .then((sent) => console.log(JSON.stringify(sent.map((s) => [s.accepted.length, s.response.slice(0, 3)]))))
  .catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  })
  .finally(() => pool.close());
