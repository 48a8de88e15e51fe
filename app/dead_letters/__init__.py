"""Dead letters: records that could not be processed or stored.

Those of the worker stand in topic ``uploads-dlq``; those that the sink could not store stand in
table ``dead_letters_data`` alone. Both are found, shown, produced again and given up alike. An
original is never deleted or changed: what was done with it is a row beside it.
"""
