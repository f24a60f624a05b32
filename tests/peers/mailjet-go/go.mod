module talk

go 1.21

require github.com/mailjet/mailjet-apiv3-go/v4 v4.0.7
