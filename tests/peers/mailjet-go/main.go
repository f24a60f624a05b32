// One program's day with Mailjet's own client: a contact, a list, messages by both calls; what it got, as JSON.
package main

import (
	"encoding/json"
	"log"
	"os"

	mailjet "github.com/mailjet/mailjet-apiv3-go/v4"
	"github.com/mailjet/mailjet-apiv3-go/v4/resources"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	client := mailjet.NewMailjetClient(os.Args[2], os.Args[3], "http://127.0.0.1:"+os.Args[1]+"/v3")

	var made, again, page []resources.Contact
	contact := &mailjet.Request{Resource: "contact"}
	must(client.Post(&mailjet.FullRequest{Info: contact, Payload: &resources.Contact{Email: "anna@lecteurs.example", Name: "Anna"}}, &made))
	must(client.Get(&mailjet.Request{Resource: "contact", AltID: "anna@lecteurs.example"}, &again))
	made[0].Name = "Anna B."
	must(client.Put(&mailjet.FullRequest{Info: &mailjet.Request{Resource: "contact", ID: made[0].ID}, Payload: &made[0]}, nil))

	var lists []resources.Contactslist
	list := &mailjet.FullRequest{Info: &mailjet.Request{Resource: "contactslist"}, Payload: &resources.Contactslist{Name: "Club"}}
	must(client.Post(list, &lists))
	var managed []resources.ContactslistManageContact
	must(client.Post(&mailjet.FullRequest{
		Info:    &mailjet.Request{Resource: "contactslist", ID: lists[0].ID, Action: "managecontact"},
		Payload: &resources.ContactslistManageContact{Email: "luc@lecteurs.example", Action: "addnoforce"},
	}, &managed))
	count, _, err := client.List("contact", &page, mailjet.Sort("Email", mailjet.SortDesc), mailjet.Filter("Limit", "1"))
	must(err)

	from := &mailjet.RecipientV31{Email: "zoe@boutique.example", Name: "Zoé"}
	message := mailjet.InfoMessagesV31{
		From: from, To: &mailjet.RecipientsV31{{Email: "luc@lecteurs.example", Name: "Luc"}}, Subject: "Votre commande",
		TextPart: "Bonjour {{var:name}}", TemplateLanguage: true, Variables: map[string]interface{}{"name": "Luc"},
	}
	sent, err := client.SendMailV31(&mailjet.MessagesV31{Info: []mailjet.InfoMessagesV31{message}})
	must(err)
	older, err := client.SendMail(&mailjet.InfoSendMail{
		FromEmail: "zoe@boutique.example", Subject: "Votre facture", TextPart: "Bonjour [[var:name]]",
		Recipients: []mailjet.Recipient{{Email: "anna@lecteurs.example", Vars: map[string]string{"name": "Anna"}}},
	})
	must(err)
	message.To = &mailjet.RecipientsV31{{Email: "personne"}}
	_, refused := client.SendMailV31(&mailjet.MessagesV31{Info: []mailjet.InfoMessagesV31{message}})
	code := ""
	if told, ok := refused.(*mailjet.APIFeedbackErrorsV31); ok {
		code = told.Messages[0].Errors[0].ErrorCode
	}
	must(client.Delete(&mailjet.Request{Resource: "contactslist", ID: lists[0].ID}))
	must(json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"same": made[0].ID == again[0].ID, "managed": managed[0].Email, "first": page[0].Email, "count": count,
		"messages": []int64{sent.ResultsV31[0].To[0].MessageID, older.Sent[0].MessageID}, "refused": code,
	}))
}
