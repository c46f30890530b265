"""The auditor's judgement: artefacts, chain archive and journals in, findings out."""
