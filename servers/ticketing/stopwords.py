"""Words that every text has: a passage that shares only these with a question does not answer it."""

_ENGLISH_AND_GERMAN = """
a aber about after again all alle als also am an and any are as at auch auf aus be because been before bei being
between bin bis bitte both but by can cannot could da danke dann das dass dem den der des did die dir do doch does
doing don done down du durch each ein eine einem einen einer eines er es few for from further für get got habe haben
had hallo has hat hatte have having he hello her here hers hi him his how i ich if ihm ihn ihnen ihr ihre ihrer im
in into is isn ist it its ja just kann kein keine können let like ll m me mein meine meinem meinen meiner mich mir
mit more most my nach nicht no noch nor not now nur ob oder of off on once only or other our out over own please re
s same schon sehr sein seine she should sich sie sind so some such t than thank thanks that the their them then
there these they this those through to too um und under uns unser unsere until up us ve very via vom von vor want
war warum was we wenn wer were what when where which while who whom why wie will wir wird with wo would yes yet you
your zu zum zur über
"""

STOPWORDS = frozenset(_ENGLISH_AND_GERMAN.split())
