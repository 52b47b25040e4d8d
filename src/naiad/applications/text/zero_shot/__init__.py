"""Zero-shot text classification: texts and labels in, how well each label fits out.

Labels are compared with texts by a sentence encoder, or by a network for entailment.
"""
