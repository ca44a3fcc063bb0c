// The Express app of Twilio's own tutorials: signature, keyword, TwiML.
'use strict';

const express = require('express');
const twilio = require('twilio');

const { replies, defaultReply } = JSON.parse(process.env.BENCH_REPLIES);
const application = express();

application.post('/sms', express.urlencoded({ extended: false }), twilio.webhook(), (request, response) => {
  const [word = ''] = request.body.Body.trim().split(/\s+/);
  const text = replies[word.toUpperCase()] ?? defaultReply;
  const answer = new twilio.twiml.MessagingResponse();
  answer.message(text.replace('{city}', request.body.FromCity));
  response.type('text/xml').send(answer.toString());
});

application.get('/readyz', (_request, response) => response.send('ready'));

application.listen(Number(process.env.PORT), '127.0.0.1');
