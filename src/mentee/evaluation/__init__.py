"""What is measured of a trained student: scores, other domains, similarity to the teacher."""
