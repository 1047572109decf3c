"""Names after which a random value is a key: those who issue keys without a mark of their own.

Data. Only names that rarely mean anything else; after the others (`github`, `linear`) a word
such as `token` has to stand.
"""

from __future__ import annotations

_NAMES = """
abstractapi abuseipdb accuweather ahrefs ai21 aikido airbrake airtable aiven alchemy
algolia alpaca alphavantage amplitude anthropic anypoint apify appcenter appsflyer
assemblyai atlassian auth0 authress autodesk avaza bannerbear billplz
bitbucket bitfinex bitly bitrise blynk braintree brevo browserstack bugsnag buildkite
cartesia censys checkmarx circleci clarifai clearbit clickup clockify closecrm cloudant
cloudflare cloudinary cloudsmith codacy codeclimate codecov cohere coinbase
coinmarketcap confluence confluent contentful convertkit couchbase coveralls
currencylayer customerio databricks datadog deepgram deepseek delighted digitalocean
discord dnsimple docusign dropbox dynatrace easypost elasticsearch elevenlabs etherscan
eventbrite fastly faunadb finicity finnhub flickr flutterwave foursquare freshbooks
freshdesk fullstory geocodio getresponse gitea gitter gocardless gumroad helpscout
heroku hipchat holidayapi honeybadger honeycomb hubspot hunterio hyperbolic ibmcloud
infobip infura intercom ipdata ipgeolocation ipinfo ipstack iterable jfrog jotform
jumpcloud keycloak klaviyo kucoin lambdalabs langchain launchdarkly linkedin livekit
locationiq logdna loggly logzio lokalise mailchimp mailerlite mailersend mailgun mailjet
mailtrap mandrill mapbox mapquest maptiler marketstack mattermost maxmind meilisearch
messagebird metaapi mistral mixpanel mongodb netlify newrelic newsapi nightfall
northflank numverify nytimes okta ollama onelogin onesignal onfido openai opencagedata
openrouter opensea openweather openweathermap opsgenie optimizely owlbot packagecloud
pagerduty pandadoc papertrail parseur paypal pdflayer perplexity pingdom pinterest
pipedrive pivotaltracker plaid planetscale plivo postageapp posthog postmark pubnub
pulumi qualtrics quickbase quicknode rapid7 rapidapi razorpay rechargepayments redislabs
replicate revenuecat rollbar rudderstack runscope saucelabs scaleway scalr scraperapi
scrapfly scrapingbee securitytrails segmentio semaphore sendbird sendgrid sendinblue
sentry serpapi shippo shodan sidekiq signalwire signnow sinch smartsheet snipcart
snowflake snyk sonarcloud sonarqube sparkpost splitio splunk spotify squarespace
stackhawk statuspage stormglass storyblok stytch sumologic surveymonkey tableau tatum
telnyx tencent thousandeyes ticketmaster todoist tomorrowio tomtom travisci trello
twelvelabs twilio twitch twitter typeform typesense unsplash upcloud uploadcare upstash
uptimerobot urlscan vercel vimeo virustotal vonage vultr wakatime walkscore wandb
weatherapi weatherbit weatherstack weaviate webflow wepay whatsapp wistia workos
wpengine xata yandex yelp youtube zapier zendesk zenhub zeplin zerobounce zoho zoominfo
"""

VENDORS = frozenset(_NAMES.split())
