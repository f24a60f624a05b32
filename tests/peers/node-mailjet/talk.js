// One program's day with Mailjet's own client: a contact, a list, a message; what it got, as JSON.
const Mailjet = require("node-mailjet");
const [port, key, secret] = process.argv.slice(2);
Mailjet.Request.protocol = "http://"; // the client itself speaks https alone

async function main() {
  const client = new Mailjet({ apiKey: key, apiSecret: secret, config: { host: `127.0.0.1:${port}` } });
  const contact = await client.post("contact", { version: "v3" }).request({ Email: "a.b+c@lecteurs.example", Name: "Anna" });
  const id = contact.body.Data[0].ID;
  const again = await client.get("contact", { version: "v3" }).id("a.b+c@lecteurs.example").request();
  const list = await client.post("contactslist", { version: "v3" }).request({ Name: "Club" });
  const managed = await client
    .post("contactslist", { version: "v3" }).id(list.body.Data[0].ID).action("managecontact")
    .request({ Email: "luc@lecteurs.example", Action: "addnoforce" });
  const page = await client.get("contact", { version: "v3" }).request({}, { Limit: 1 });
  const sent = await client.post("send", { version: "v3.1" }).request({
    Messages: [{
      From: { Email: "zoe@boutique.example", Name: "Zoé" }, To: [{ Email: "luc@lecteurs.example" }],
      Subject: "Votre commande", TextPart: "Bonjour {{var:name}}", TemplateLanguage: true, Variables: { name: "Luc" },
    }],
  });
  const removed = await client.delete("contactslist", { version: "v3" }).id(list.body.Data[0].ID).request();
  const gone = await client.delete("contacts", { version: "v4" }).id(id).request();
  let refused = "";
  try {
    await client.post("contact", { version: "v3" }).request({ Email: "luc@lecteurs.example" });
  } catch (error) {
    refused = error.message;
  }
  console.log(JSON.stringify({
    same: again.body.Data[0].ID === id, managed: managed.body.Data[0].Email, page: page.body.Count,
    message: String(sent.body.Messages[0].To[0].MessageID), removed: removed.response.status, gone: gone.response.status, refused,
  }));
}

main().catch((error) => {
  console.error(error.message, error.response && error.response.data);
  process.exit(1);
});
