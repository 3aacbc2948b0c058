"""Training of the detector and of the face score.

From the labelled faces in memory (`pool`) and pictures without a face (`backdrops`), `scenes` makes the pictures of the
detector and `crops` those of the face score; `loader` puts them into batches. `task` is the training step and the
validation, `mining` collects false detections between steps, `recipe` holds the settings, `job` puts all together.
"""
