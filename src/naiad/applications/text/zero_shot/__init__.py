"""Zero-shot text classification: texts and labels in, a score for each label out.

A sentence encoder, or a network for entailment, compares labels with texts.
"""
